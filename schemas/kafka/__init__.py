"""Kafka: topics, the codec of records, how large they may be, what its errors mean, its clock."""
