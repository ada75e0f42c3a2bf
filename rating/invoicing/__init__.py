"""From usage to lines: what is due, what has to be measured, what late usage adjusts."""
