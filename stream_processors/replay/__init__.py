"""Again: rejections that enter once more, and offsets that are metered once more."""
