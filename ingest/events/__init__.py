"""Routes for events and voids, and the records of those that are refused."""
