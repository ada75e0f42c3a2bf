"""What an invoice is and may become: the ledger of invoices, their chains, drafts, credit notes, reading them."""
