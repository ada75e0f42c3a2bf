"""Whether the partitions of Weir's topics have a leader and all of their replicas, as the brokers say."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka.admin import AdminClient

from schemas.kafka.topics import weir_topics
from schemas.settings import Settings

_TIMEOUT = 15


@dataclass(frozen=True, slots=True)
class ReplicaHealth:
    """``brokers``: how many are alive; ``leaderless``: partitions ("topic/number") that take and give nothing;
    ``behind``: those that have fewer replicas in sync than they have."""

    brokers: int
    leaderless: tuple[str, ...]
    behind: tuple[str, ...]


def replica_health(settings: Settings) -> ReplicaHealth:
    """Raises KafkaException."""
    names = set(weir_topics(settings))
    metadata = AdminClient(settings.librdkafka() | {"log_level": 2}).list_topics(timeout=_TIMEOUT)
    partitions = [
        (f"{name}/{number}", partition)
        for name, topic in sorted(metadata.topics.items())
        if name in names
        for number, partition in sorted(topic.partitions.items())
    ]
    return ReplicaHealth(
        len(metadata.brokers),
        tuple(place for place, partition in partitions if partition.leader < 0),
        tuple(place for place, partition in partitions if len(partition.isrs) < len(partition.replicas)),
    )
