"""A namespace at a glance, and the search over all of it."""
