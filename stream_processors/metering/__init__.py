"""Metering: deduplicates and matches the events of usage.events and writes them to ClickHouse exactly once."""
