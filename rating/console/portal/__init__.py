"""The page of a customer's portal."""
