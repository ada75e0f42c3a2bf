"""Backfills: applying a profile version that starts in the past to the events that were metered before it was
published."""
