"""Invoices as PDF: the same bytes for the same version of an invoice, set by typst in a process of its own."""
