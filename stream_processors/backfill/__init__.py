"""Profile versions that were published with a start in the past count the events before it."""
