"""What invoices that stand have billed, credited and paid, and what is left of it. Pure."""
