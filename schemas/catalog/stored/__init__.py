"""Reads stored bodies of catalog entries as models, those that are alike once."""
