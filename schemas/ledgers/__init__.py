"""Ledger topics, in which the first valid record wins: the state derived from each, and how they are read and
written."""
