"""What invoices give back to prepaid credits."""
