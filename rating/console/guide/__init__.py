"""Guided pages: why a number is not what somebody expects."""
