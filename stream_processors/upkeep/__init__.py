"""Supervision of a worker: its consumers, their lag, health pages, periodic chores and logs."""
