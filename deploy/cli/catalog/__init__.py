"""Commands of the catalog: applying documents, the audit trail, keys, backfills."""
