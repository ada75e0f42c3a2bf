"""Verification: what is derived is worked out again from what it is derived from. Changes nothing, anywhere.

``verification.py`` is the list of checks. ``independent/`` shares no code with what it judges.
"""
