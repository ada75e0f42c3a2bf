"""The catalog by HTTP: documents, entries, what applying one would change, publishing, API keys."""
