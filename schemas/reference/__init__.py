"""REFERENCE.md: every field of what a namespace declares, from the models themselves and from examples that parse.
Pure.

``python -m schemas.reference`` (``make reference``) writes it; a test says where it is stale.
"""
