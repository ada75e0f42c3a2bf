"""What Kafka says of a topic: its unique id tells it from others of its name."""

from __future__ import annotations

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._topic import TopicDescription


def topic_id(admin: AdminClient, topic: str, timeout: float) -> str:
    """Kafka's unique id of a topic. Raises KafkaException, and TimeoutError after ``timeout`` seconds."""
    return str(described_topic(admin, topic, timeout).topic_id)


def described_topic(admin: AdminClient, topic: str, timeout: float) -> TopicDescription:
    """The topic's description. Raises as ``topic_id``."""
    [future] = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout).values()
    described: TopicDescription = future.result(timeout=timeout + 1)
    return described
