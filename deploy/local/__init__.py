"""The local stack: Kafka, the ClickHouse engine and Weir's own processes under one supervisor."""
