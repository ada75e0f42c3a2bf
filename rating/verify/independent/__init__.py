"""What invoices should say, worked out again by code that shares nothing with what they were made by."""
