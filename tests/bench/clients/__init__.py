"""Processes that send to a gateway as many clients would."""
