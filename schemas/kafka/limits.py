"""How large a record may be: the one place that topics, producers, consumers and packing agree by.

``WEIR_KAFKA_RECORD_BYTES`` is the topics' ``max.message.bytes``, which the broker holds against the bytes on the wire:
the records of one produce call, compressed where they are, with their frame. Producers are given the same number, which
they hold against the bytes before compression. So a value of up to ``value_limit`` always gets in, whatever its key,
and whoever writes keeps to it. Consumers need no limit of their own: a broker sends a record that is larger than what
was asked for all the same (KIP-74).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from schemas.settings import Settings, SettingsError

log = logging.getLogger(__name__)

FRAME_BYTES: Final = 4 * 1024
"""At most so much do a record's key and headers and its batch's frame take beside its value. Our keys are made of codes
of up to 256 characters."""
PACKED_BYTES: Final = 256 * 1024
"""A packed batch is closed before it would grow beyond this; an event alone may be larger."""
EXPANSION: Final = 4
"""So many times ``WEIR_KAFKA_RECORD_BYTES`` may the records of one compressed batch take in memory."""
MAX_BYTES: Final = "max.message.bytes"
_TIMEOUT: Final = 15


def value_limit(settings: Settings) -> int:
    """The largest value, in bytes, of a record that every topic of ours takes."""
    return settings.kafka_record_bytes - FRAME_BYTES


def packed_limit(settings: Settings) -> int:
    """Bytes of events, as ``schemas.events.batch.size_of`` counts them, up to which a batch is packed."""
    return min(PACKED_BYTES, value_limit(settings) // 2)


def producing(settings: Settings) -> dict[str, Any]:
    """The part of a producer's configuration that says how large a record may be."""
    return {"message.max.bytes": settings.kafka_record_bytes}


def topic_limits(settings: Settings, topics: Iterable[str]) -> dict[str, int]:
    """``max.message.bytes`` of each topic, as the brokers have it. Raises KafkaException."""
    admin = AdminClient(settings.librdkafka() | {"log_level": 2})
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    futures: dict[Any, Any] = admin.describe_configs(resources, request_timeout=_TIMEOUT)
    return {
        resource.name: int(future.result(timeout=_TIMEOUT + 5)[MAX_BYTES].value) for resource, future in futures.items()
    }


def too_small(settings: Settings, limits: dict[str, int]) -> list[str]:
    """Names of topics that take less than the setting says. One of 0 is sealed: it takes nothing any more, and is not
    asked to."""
    return sorted(topic for topic, limit in limits.items() if 0 < limit < settings.kafka_record_bytes)


def check_topics(settings: Settings, topics: Iterable[str]) -> None:
    """Raises SettingsError where a topic takes less than the setting says, with both remedies; KafkaException where the
    brokers do not tell."""
    limits = topic_limits(settings, topics)
    if small := too_small(settings, limits):
        least = min(limits[topic] for topic in small)
        limits_text = ", ".join(f"{topic} ({limits[topic]})" for topic in small)
        raise SettingsError(
            f"WEIR_KAFKA_RECORD_BYTES is {settings.kafka_record_bytes}, but these topics take smaller records "
            f"(max.message.bytes): {limits_text}. "
            f"Raise them: kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config "
            f"max.message.bytes={settings.kafka_record_bytes}; or set WEIR_KAFKA_RECORD_BYTES={least} for all "
            "processes of Weir"
        )


def raise_topics(settings: Settings, topics: Iterable[str]) -> list[str]:
    """Raise ``max.message.bytes`` of those topics that take less than the setting says; their names. Safe to repeat.

    Topics of earlier versions, or of a smaller setting, come to agree so. Raises KafkaException.
    """
    small = too_small(settings, topic_limits(settings, topics))
    entry = ConfigEntry(MAX_BYTES, str(settings.kafka_record_bytes), incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry]) for topic in small]
    if resources:
        admin = AdminClient(settings.librdkafka() | {"log_level": 2})
        for future in admin.incremental_alter_configs(resources, request_timeout=_TIMEOUT).values():
            future.result(timeout=_TIMEOUT + 5)
    return small


def confirm_topics(settings: Settings, topics: Callable[[Settings], Iterable[str]]) -> None:
    """``check_topics`` at a process's start. Where the brokers do not tell, for want of rights or because they are
    away, the setting is believed, with a warning. Raises SettingsError."""
    try:
        check_topics(settings, topics(settings))
    except KafkaException as error:
        log.warning("max.message.bytes of the topics cannot be read, WEIR_KAFKA_RECORD_BYTES is believed: %s", error)
