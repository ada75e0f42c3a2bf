"""What a customer sees of their own account: short-lived tokens, and what one opens."""
