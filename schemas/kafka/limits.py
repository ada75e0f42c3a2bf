"""Record size limits shared by topics, producers, consumers and packing.

``WEIR_KAFKA_RECORD_BYTES`` is the topics' ``max.message.bytes``, which brokers apply to the bytes on the wire: the
records of one produce call, possibly compressed, with their framing. Producers get the same limit and apply it
before compression. A value of up to ``value_limit`` bytes is therefore always accepted, whatever its key. Consumers
need no limit: a broker sends a record even if it exceeds the requested size (KIP-74).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from schemas.kafka.errors import kafka_error, meaning
from schemas.settings import Settings, SettingsError

log = logging.getLogger(__name__)

FRAME_BYTES: Final = 4 * 1024
"""Upper limit of the bytes that a record's key, headers and batch framing add to its value; keys consist of codes of up
to 256 characters."""
PACKED_BYTES: Final = 256 * 1024
"""A packed batch is closed before it exceeds this size; a single event may be larger."""
EXPANSION: Final = 4
"""Limit on the decompressed size of a compressed batch, as a multiple of ``WEIR_KAFKA_RECORD_BYTES``."""
MERGED_BYTES: Final = 64 * 1024
"""Up to this size the client sends several records of a partition as one message set. A broker applies the topic's
limit to the set and refuses all of it, so a set stays below what every topic may be set to; a larger record is sent
alone."""
LARGE_SET_BYTES: Final = 1_000_000
"""The same for a writer that writes a refused set once more, in sets of ``MERGED_BYTES``. Small sets cost it three
times the processor time a record (60 to 75 µs an invoice in place of 25)."""
MAX_BYTES: Final = "max.message.bytes"
_TIMEOUT: Final = 15


def value_limit(record_bytes: int) -> int:
    """The largest value, in bytes, that a topic accepts whose limit is ``record_bytes``."""
    return record_bytes - FRAME_BYTES


def packed_limit(settings: Settings, topic_bytes: int | None = None) -> int:
    """The size up to which batches are packed, in bytes as counted by ``schemas.events.batch.size_of``.
    ``topic_bytes``: the topic's own limit where it is known; it counts if it is below the setting."""
    record_bytes = settings.kafka_record_bytes if topic_bytes is None else min(topic_bytes, settings.kafka_record_bytes)
    return min(PACKED_BYTES, (record_bytes - FRAME_BYTES) // 2)


def producing(record_bytes: int, merged_bytes: int = MERGED_BYTES) -> dict[str, Any]:
    """The size limits in a producer's configuration. ``record_bytes``: the topic's limit; ``merged_bytes``: the size of
    a set of several records."""
    return {"message.max.bytes": record_bytes, "batch.size": min(merged_bytes, record_bytes // 2)}


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """``known``: ``max.message.bytes`` by topic, 0 for a sealed one. ``unknown``: topic → why it cannot be read."""

    known: Mapping[str, int]
    unknown: Mapping[str, KafkaError]

    @property
    def denied(self) -> frozenset[str]:
        """The topics whose limit these processes have no right to read (DescribeConfigs)."""
        return frozenset(topic for topic, error in self.unknown.items() if meaning(error) == "cannot go on")


def topic_limits(settings: Settings, topics: Iterable[str]) -> TopicLimits:
    """The topics' limits according to the brokers. A topic whose limit cannot be read hides no other's."""
    known: dict[str, int] = {}
    unknown: dict[str, KafkaError] = {}
    names = list(topics)
    try:
        admin = AdminClient(settings.librdkafka() | {"log_level": 2})
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in names]
        futures: dict[Any, Any] = admin.describe_configs(resources, request_timeout=_TIMEOUT)
    except KafkaException as error:
        return TopicLimits({}, dict.fromkeys(names, kafka_error(error) or KafkaError(KafkaError._FAIL, str(error))))
    for resource, future in futures.items():
        try:
            known[resource.name] = int(future.result(timeout=_TIMEOUT + 5)[MAX_BYTES].value)
        except TimeoutError:
            unknown[resource.name] = KafkaError(KafkaError._TIMED_OUT, "the brokers do not tell max.message.bytes")
        except KafkaException as error:
            unknown[resource.name] = kafka_error(error) or KafkaError(KafkaError._FAIL, str(error))
    return TopicLimits(known, unknown)


def topic_limit(settings: Settings, topic: str) -> int:
    """``topic_limits`` of one topic. Raises KafkaException."""
    limits = topic_limits(settings, [topic])
    if topic in limits.unknown:
        raise KafkaException(limits.unknown[topic])
    return limits.known[topic]


def too_small(settings: Settings, limits: Mapping[str, int]) -> list[str]:
    """Names of topics whose limit is below the setting. A limit of 0 marks a sealed topic and is ignored."""
    return sorted(topic for topic, limit in limits.items() if 0 < limit < settings.kafka_record_bytes)


def check_topics(settings: Settings, topics: Iterable[str]) -> None:
    """Raises SettingsError, with both remedies, if a topic's limit is below the setting; else KafkaException if that
    of a topic cannot be read."""
    limits = topic_limits(settings, topics)
    if small := too_small(settings, limits.known):
        least = min(limits.known[topic] for topic in small)
        limits_text = ", ".join(f"{topic} ({limits.known[topic]})" for topic in small)
        raise SettingsError(
            f"WEIR_KAFKA_RECORD_BYTES is {settings.kafka_record_bytes}, but these topics take smaller records "
            f"(max.message.bytes): {limits_text}. "
            f"Raise them: kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config "
            f"max.message.bytes={settings.kafka_record_bytes}; or set WEIR_KAFKA_RECORD_BYTES={least} for all "
            "processes of Weir"
        )
    _raise_unknown(limits)


def _raise_unknown(limits: TopicLimits) -> None:
    for topic, error in limits.unknown.items():
        raise KafkaException(KafkaError(error.code(), f"{topic}: {error.str()}"))


def confirm_topics(settings: Settings, topics: Callable[[Settings], Iterable[str]]) -> None:
    """``check_topics`` at a process's start. If the brokers do not answer, or deny access, it only logs a warning.
    Raises SettingsError."""
    try:
        check_topics(settings, topics(settings))
    except KafkaException as error:
        log.warning("max.message.bytes of the topics cannot be read, WEIR_KAFKA_RECORD_BYTES is believed: %s", error)
