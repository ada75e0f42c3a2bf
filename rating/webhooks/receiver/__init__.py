"""A webhook's receiver: whether its address is allowed, signatures, one attempt to reach it."""
