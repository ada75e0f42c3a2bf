"""Admission of events that producers write directly to their namespace's Kafka topic, usage.inbox.<namespace>."""
