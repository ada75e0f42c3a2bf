"""Flink and Kafka Streams as peers of bench_compare.py: their jobs in Java, built by Maven."""
