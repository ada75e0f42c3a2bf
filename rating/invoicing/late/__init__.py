"""Usage that arrives, or is voided, after its period was billed: what it changes, and the lines that bill it."""
