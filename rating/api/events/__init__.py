"""Routes about single events: counted, voided, rejected."""
