"""What accounts are entitled to, as the catalog says it: features, their limits, and who is granted them. Pure."""
