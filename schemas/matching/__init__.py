"""Matches events against profile versions: one by one, column by column, and whether two profiles can count the
same event."""
