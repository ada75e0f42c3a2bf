"""The HTTP gateway: accepts usage events into Kafka, changes the catalog, and provides a client library for
producers."""
