"""Streaming import of history as NDJSON: one event per line, of any length, in bounded memory."""
