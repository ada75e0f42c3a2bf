"""The invoices of usage.invoices in a file, so that only what is new is read of the log."""
