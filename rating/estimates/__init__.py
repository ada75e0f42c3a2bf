"""What accounts would be billed at an instant, before a close does it."""
