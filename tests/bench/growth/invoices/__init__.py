"""Lists of invoices, and late usage of what they billed."""
