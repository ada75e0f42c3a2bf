"""REFERENCE.md: every field of catalog entries, generated from the models and from examples that parse. Pure.

``python -m schemas.reference`` (``make reference``) writes it; a test fails if it is stale.
"""
