"""Subscriptions over time: the plan in force at each instant, billing periods, and terms. Pure."""
