"""Events: acceptance, identity, packed batches, voids and rejections."""
