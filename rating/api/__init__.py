"""The HTTP side of rating: usage, invoices and the ledger of events as JSON and CSV. Routes only; numbers come from
below."""
