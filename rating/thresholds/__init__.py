"""Thresholds of invoices that running use has reached, billed within seconds, in the process of webhooks.

The evaluator of alerts finds them (``rating.estimates.reached_thresholds``); ``billing_queue.py`` says which
subscriptions are billed next (pure), and ``threshold_biller.py`` closes these.
"""
