"""Prepaid credit in the catalog."""
