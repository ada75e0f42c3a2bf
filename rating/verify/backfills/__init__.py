"""What backfills counted, verified: their records one by one, and whether ClickHouse has all of them."""
