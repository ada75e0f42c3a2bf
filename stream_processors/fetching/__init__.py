"""Limits on the bytes that a worker's Kafka consumers hold in memory."""
