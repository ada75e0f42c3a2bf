"""The fold of usage.invoices, kept in a file by what follows it."""
