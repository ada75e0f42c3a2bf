"""Kafka topics: names, settings and creation (DESIGN section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.kafka.limits import MAX_BYTES, raise_topics
from schemas.settings import Settings

REJECTED: Final = "usage.rejected"
CATALOG: Final = "usage.catalog"
CHECKPOINTS: Final = "usage.checkpoints"
INVOICES: Final = "usage.invoices"
ALERTS: Final = "usage.alerts"
RESERVATIONS: Final = "usage.reservations"
"""The first valid record wins here, too; what is older than its retention is of nobody's interest."""
TOPUPS: Final = "usage.topups"
CLOCK: Final = "usage.clock"
"""Empty records, of which only the append time matters (``schemas.kafka.clock``)."""
CLOCK_PARTITIONS: Final = 3  # led by different brokers, so that a single wrong clock is outvoted
INBOX_PREFIX: Final = "usage.inbox."
EVENTS_PREFIX: Final = "usage.events."
LEDGERS: Final = (CATALOG, CHECKPOINTS, INVOICES, ALERTS, TOPUPS)
"""Topics in which the first valid record wins. Their readers reassemble records that were written in pieces."""
INBOX_PARTITIONS: Final = 4
ADMIT_GROUP: Final = "weir-admit"
"""The consumer group of the inboxes; its committed offsets are its progress."""
REJECTED_PARTITIONS: Final = 4
INVOICE_PARTITIONS: Final = 4
RESERVATIONS_RETENTION_DAYS: Final = 7
"""Retention of usage.reservations in days: a reservation is open for a day at most, and followers begin little earlier
(``FOLLOWED_US``)."""
EVENTS_RETENTION_DAYS: Final = 90
"""Retention of usage.events in days; identities are kept longer by W (DESIGN invariant 4)."""

_PREFIXES: Final = (EVENTS_PREFIX, INBOX_PREFIX)
_FOR_EVER: Final[dict[str, str]] = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_APPEND_TIME: Final[dict[str, str]] = {"message.timestamp.type": "LogAppendTime"}


def events_topic(generation: int) -> str:
    """``usage.events.<generation>``"""
    return f"{EVENTS_PREFIX}{generation}"


def generation_of(topic: str) -> int:
    """The generation of a topic named by ``events_topic``."""
    return int(topic.rpartition(".")[2])


def inbox_topic(namespace: str) -> str:
    """``usage.inbox.<namespace>``"""
    return INBOX_PREFIX + namespace


def namespace_of_inbox(topic: str) -> str:
    """The namespace of an inbox topic."""
    return topic.removeprefix(INBOX_PREFIX)


def _durable(settings: Settings) -> dict[str, str]:
    # With min.insync.replicas above the number of replicas every write would be refused.
    in_sync = "2" if settings.kafka_replication >= 3 else "1"
    return {"min.insync.replicas": in_sync, "unclean.leader.election.enable": "false"}


def _events(settings: Settings, generation: int, partitions: int) -> tuple[str, int, dict[str, str]]:
    retention = {"retention.ms": str(EVENTS_RETENTION_DAYS * 86_400_000)}
    return events_topic(generation), partitions, _APPEND_TIME | retention


def _specifications(settings: Settings) -> list[NewTopic]:
    topics: list[tuple[str, int, dict[str, str]]] = [
        _events(settings, settings.generation, settings.partitions),
        (REJECTED, REJECTED_PARTITIONS, {"retention.ms": "-1"}),
        (CATALOG, 1, _FOR_EVER | _APPEND_TIME),
        (CHECKPOINTS, 1, _FOR_EVER | _APPEND_TIME),
        (INVOICES, INVOICE_PARTITIONS, _FOR_EVER | _APPEND_TIME),
        (ALERTS, 1, _FOR_EVER | _APPEND_TIME),
        (RESERVATIONS, 1, _APPEND_TIME | {"retention.ms": str(RESERVATIONS_RETENTION_DAYS * 86_400_000)}),
        (TOPUPS, 1, _FOR_EVER | _APPEND_TIME),
        (CLOCK, CLOCK_PARTITIONS, _APPEND_TIME | {"retention.ms": "3600000", "segment.ms": "3600000"}),
        (inbox_topic(settings.namespace), INBOX_PARTITIONS, _APPEND_TIME),
    ]
    return [_new_topic(settings, name, count, config) for name, count, config in topics]


def _new_topic(settings: Settings, name: str, count: int, config: dict[str, str]) -> NewTopic:
    return NewTopic(
        name,
        num_partitions=count,
        replication_factor=settings.kafka_replication,
        config=config | _durable(settings) | {MAX_BYTES: str(settings.kafka_record_bytes)},
    )


def create_events_topic(settings: Settings, generation: int, partitions: int) -> None:
    """Create the topic of another generation if it is missing. Raises LookupError if it exists with a different
    number of partitions."""
    _create(settings, [_new_topic(settings, *_events(settings, generation, partitions))])
    count = partition_count(settings, events_topic(generation))
    if count != partitions:
        raise LookupError(f"{events_topic(generation)} exists with {count} partitions: ask for that many, or delete it")


def create_topics(settings: Settings) -> list[str]:
    """Create missing topics, and raise the record limit of existing ones to the setting. Safe to repeat. Returns
    the names of created topics.

    Raises KafkaException if the broker refuses, or does not answer within 30 s.
    """
    created = _create(settings, _specifications(settings))
    raise_topics(settings, weir_topics(settings))
    return created


def weir_topics(settings: Settings) -> list[str]:
    """All of Weir's topics that exist. Raises KafkaException."""
    names = AdminClient(settings.librdkafka() | {"log_level": 2}).list_topics(timeout=15).topics
    plain = (*LEDGERS, REJECTED, RESERVATIONS)
    return sorted(name for name in names if name in plain or name.startswith(_PREFIXES))


def written_topics(settings: Settings) -> list[str]:
    """The topics that Weir writes to: all except the inboxes. Raises KafkaException."""
    return [name for name in weir_topics(settings) if not name.startswith(INBOX_PREFIX)]


def create_inbox(settings: Settings, namespace: str) -> None:
    """Create the namespace's inbox topic if it is missing."""
    _create(settings, [_new_topic(settings, inbox_topic(namespace), INBOX_PARTITIONS, _APPEND_TIME)])


def _create(settings: Settings, topics: Iterable[NewTopic]) -> list[str]:
    admin = AdminClient(settings.librdkafka() | {"log_level": 2})
    futures: dict[str, Any] = admin.create_topics(list(topics), operation_timeout=30, request_timeout=30)
    created: list[str] = []
    for name, future in futures.items():
        try:
            future.result(timeout=35)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return created


def partition_count(settings: Settings, topic: str) -> int:
    """Number of partitions of a topic. Raises LookupError if it does not exist."""
    metadata = AdminClient(settings.librdkafka() | {"log_level": 2}).list_topics(topic, timeout=30)
    topic_metadata = metadata.topics[topic]
    if topic_metadata.error is not None or not topic_metadata.partitions:
        raise LookupError(f"topic {topic} does not exist; `weir up` creates it")
    return len(topic_metadata.partitions)
