"""Copies of ledger topics in ClickHouse tables, and rebuilding them."""
