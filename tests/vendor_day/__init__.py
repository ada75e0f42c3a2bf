"""A day in the life of an AI API vendor, played against a stack of its own and compared with an independent fold."""
