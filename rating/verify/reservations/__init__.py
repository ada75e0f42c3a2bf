"""Reservations against their limits, added up once more from usage.reservations."""
