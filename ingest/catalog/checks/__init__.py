"""What a catalog document is refused for, or warned of, before it is published. Pure."""
