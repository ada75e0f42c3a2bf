"""Who may do what in a namespace: its users."""
