"""Events: what is accepted, what makes two copies one, how they are packed, voided, refused."""
