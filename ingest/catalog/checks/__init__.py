"""Checks of a catalog document before it is published: faults, which refuse it, and warnings. Pure."""
