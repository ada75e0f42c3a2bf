"""Invoices by HTTP: lists, changes, drafts, exports, explanations."""
