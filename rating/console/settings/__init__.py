"""Keys and users of a namespace by clicking."""
