"""Commands of events: sending, voiding, totals, what was rejected."""
