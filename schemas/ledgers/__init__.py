"""Ledger topics: the first valid record wins. Each ledger's fold, and how they are read and written."""
