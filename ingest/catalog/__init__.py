"""The catalog API: reading documents, checking and planning changes, publishing entries, API keys."""
