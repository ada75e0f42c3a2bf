"""Events from producers that write to an inbox themselves."""
