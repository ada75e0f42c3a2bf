"""The Faust worker: it meters usage events into ClickHouse, rolls records up into windows and copies ledger topics
into tables."""
