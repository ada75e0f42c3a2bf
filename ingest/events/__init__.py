"""Events and voids by HTTP, and what is kept of those that are refused."""
