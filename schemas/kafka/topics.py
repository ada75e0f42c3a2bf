"""Kafka topics: names, settings and creation (DESIGN section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka.admin import AdminClient

from schemas.kafka.limits import MAX_BYTES
from schemas.kafka.topic_setup import (
    IN_SYNC,
    TopicSpecification,
    apply_changes,
    create_topics_of,
    topic_changes,
)
from schemas.settings import Settings
from schemas.store_settings import MOST_EVENTS_DAYS
from schemas.values.record_copy import replace

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
LEDGERS_GROUP: Final = "weir-ledgers"
"""The consumer group of roll-up and of the copies of rejections and invoices; commits what is done."""
REJECTED_PARTITIONS: Final = 4
INVOICE_PARTITIONS: Final = 4
RESERVATIONS_RETENTION_DAYS: Final = 7
"""Retention of usage.reservations in days: a reservation is open for a day at most, and followers begin little earlier
(``FOLLOWED_US``)."""
EVENTS_RETENTION_DAYS: Final = MOST_EVENTS_DAYS
"""Retention of usage.events in days; identities are kept longer by W (DESIGN invariant 4)."""

_PREFIXES: Final = (EVENTS_PREFIX, INBOX_PREFIX)
_DELETED: Final[dict[str, str]] = {"cleanup.policy": "delete", "retention.bytes": "-1"}
"""Said of every topic: a cluster's own defaults may be compaction or a limit by size, and either would lose events."""
_FOR_EVER: Final[dict[str, str]] = _DELETED | {"retention.ms": "-1"}
_HOUR: Final = "3600000"
_DAY_MS: Final = 86_400_000
_OPERATORS: Final = frozenset({"retention.ms", "retention.bytes", "segment.ms"})
"""Settings of existing topics that are the operator's, but for ledgers, which keep everything, and for topics for which
a setting of Weir's says how long they are kept."""
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


def _specification(
    settings: Settings,
    name: str,
    partitions: int,
    config: Mapping[str, str],
    *,
    counted: bool = False,
    days: int = 0,
) -> TopicSpecification:
    """``days``: for which a setting says that the topic is kept, also where it exists; 0: no setting does."""
    if days:
        # Kafka deletes whole segments: with the default of seven days a record could outlive its time by as many.
        config = {**config, "retention.ms": str(days * _DAY_MS), "segment.ms": str(_DAY_MS)}
    # With min.insync.replicas above the number of replicas every write would be refused.
    in_sync = "2" if settings.kafka_replication >= 3 else "1"
    durable = {IN_SYNC: in_sync, "unclean.leader.election.enable": "false"}
    config = {**config, **durable, MAX_BYTES: str(settings.kafka_record_bytes)}
    operators = _OPERATORS - {"retention.ms", "segment.ms"} if days else _OPERATORS
    required = frozenset(config) if name in LEDGERS else frozenset(config) - operators
    return TopicSpecification(name, partitions, counted, settings.kafka_replication, config, required)


def _events(settings: Settings, generation: int, partitions: int) -> TopicSpecification:
    config = _DELETED | _APPEND_TIME | {"retention.ms": str(EVENTS_RETENTION_DAYS * _DAY_MS)}
    return _specification(settings, events_topic(generation), partitions, config, days=settings.kafka_events_days)


def _inbox(settings: Settings, topic: str) -> TopicSpecification:
    return _specification(settings, topic, INBOX_PARTITIONS, _DELETED | _APPEND_TIME, days=settings.kafka_inbox_days)


def specifications(settings: Settings, existing: Iterable[str] = ()) -> list[TopicSpecification]:
    """The topics that Weir needs from the beginning, and those of ``existing`` that came with further generations of
    usage.events and namespaces, as each of them should be."""
    reserved = {"retention.ms": str(RESERVATIONS_RETENTION_DAYS * _DAY_MS)}
    ledgers = {CATALOG: 1, CHECKPOINTS: 1, INVOICES: INVOICE_PARTITIONS, ALERTS: 1, TOPUPS: 1}
    first = [
        _events(settings, settings.generation, settings.partitions),
        _specification(settings, REJECTED, REJECTED_PARTITIONS, _FOR_EVER, days=settings.kafka_rejected_days),
        *(
            _specification(settings, name, count, _FOR_EVER | _APPEND_TIME, counted=True)
            for name, count in ledgers.items()
        ),
        _specification(settings, RESERVATIONS, 1, _DELETED | _APPEND_TIME | reserved, counted=True),
        _specification(
            settings, CLOCK, CLOCK_PARTITIONS, _DELETED | _APPEND_TIME | {"retention.ms": _HOUR, "segment.ms": _HOUR}
        ),
        _inbox(settings, inbox_topic(settings.namespace)),
    ]
    names = {specification.name for specification in first}
    further = sorted(name for name in set(existing) - names if name.startswith(_PREFIXES))
    return first + [
        _inbox(settings, name) if name.startswith(INBOX_PREFIX) else replace(first[0], name=name) for name in further
    ]


def create_events_topic(settings: Settings, generation: int, partitions: int) -> None:
    """Create the topic of another generation if it is missing. Raises LookupError if it exists with a different
    number of partitions."""
    create_topics_of(settings, [_events(settings, generation, partitions)])
    count = partition_count(settings, events_topic(generation))
    if count != partitions:
        raise LookupError(f"{events_topic(generation)} exists with {count} partitions: ask for that many, or delete it")


def create_topics(settings: Settings) -> list[str]:
    """Create missing topics, and set what existing ones lack (``schemas.kafka.topic_setup``). Safe to repeat. Returns
    the names of created topics.

    Raises KafkaException if the broker refuses, or does not answer within 30 s.
    """
    needed = specifications(settings, weir_topics(settings))
    changes = topic_changes(settings, needed)
    apply_changes(settings, needed, changes)
    return [change.topic for change in changes if change.action == "create"]


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
    create_topics_of(settings, [_inbox(settings, inbox_topic(namespace))])


def partition_count(settings: Settings, topic: str) -> int:
    """Number of partitions of a topic. Raises LookupError if it does not exist."""
    metadata = AdminClient(settings.librdkafka() | {"log_level": 2}).list_topics(topic, timeout=30)
    topic_metadata = metadata.topics[topic]
    if topic_metadata.error is not None or not topic_metadata.partitions:
        raise LookupError(f"topic {topic} does not exist; `weir init` creates it")
    return len(topic_metadata.partitions)
