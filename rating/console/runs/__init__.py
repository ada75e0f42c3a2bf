"""Pages of billing runs."""
