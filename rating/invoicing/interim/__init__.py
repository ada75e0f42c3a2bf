"""Interim invoices: what has been used of a running period, billed before it ends."""
