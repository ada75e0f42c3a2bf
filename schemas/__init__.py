"""Contracts shared by all packages (Avro schemas, topics, tables, catalog models, settings), and pure functions
that give them meaning."""
