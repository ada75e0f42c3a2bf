"""The systems of the comparison, and the table of what was measured."""
