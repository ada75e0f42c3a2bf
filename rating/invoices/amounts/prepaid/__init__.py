"""What became of prepaid credit: live balances, and the ledger that adds up to them."""
