"""From usage to invoice lines: what is due, what must be measured, and what late usage adjusts."""
