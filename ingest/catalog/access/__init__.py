"""Keys and users of a namespace, by HTTP."""
