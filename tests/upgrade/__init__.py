"""An upgrade from an earlier release, tried for real: ``make upgrade OLD=FOLDER``."""
