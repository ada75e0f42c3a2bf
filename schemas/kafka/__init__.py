"""Kafka: topics, record encoding, size limits, error classification, clock comparison."""
