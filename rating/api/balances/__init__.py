"""Live balances of prepaid credit."""
