"""Delivery to Kafka: packs accepted events into batches, produces them, and waits for the broker's delivery
reports."""
