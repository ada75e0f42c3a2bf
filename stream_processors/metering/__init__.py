"""From usage.events to what is stored of them, exactly once."""
