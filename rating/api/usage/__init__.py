"""Usage by HTTP: totals, and the running period."""
