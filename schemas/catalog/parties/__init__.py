"""Seller and buyer as they stand on invoices."""
