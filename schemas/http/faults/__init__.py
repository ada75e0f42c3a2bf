"""What is said of fields that cannot be so."""
