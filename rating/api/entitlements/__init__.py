"""Entitlements: usage held in memory, kept fresh, and the checks answered from it; the routes are in ``api.usage``."""
