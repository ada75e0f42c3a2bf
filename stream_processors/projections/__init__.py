"""Copies of ledger topics in ClickHouse, and making them again."""
