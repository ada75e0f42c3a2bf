"""Alerts on the share of an entitlement that is used: what is measured, and when limits restart."""
