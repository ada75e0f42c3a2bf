"""Backup of a stopped stack's folder, and its restoration."""
