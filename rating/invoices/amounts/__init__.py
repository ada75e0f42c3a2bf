"""Amounts derived from valid invoices: billed, credited, paid, and what remains. Pure."""
