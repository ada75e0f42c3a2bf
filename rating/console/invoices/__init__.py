"""Pages of invoices and drafts, and of one line."""
