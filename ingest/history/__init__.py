"""History as NDJSON: one native event a line, of any length, in bounded memory."""
