"""Invoices against what they were made from: records, events, their topic, their numbers."""
