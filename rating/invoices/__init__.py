"""Invoices and their versions: the ledger, chains, drafts, credit notes, payments, numbering, and reading them."""
