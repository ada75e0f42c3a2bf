"""Reads the full bytes of rejections that are stored only in part, from the topic that they came from, while it
still has them."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.catalog.state import NamespaceView
from schemas.clickhouse.stored_rejections import Rejection
from schemas.errors import WeirError
from schemas.events.acceptance import AcceptedEvent
from schemas.events.rejections import hash_of
from schemas.kafka.limits import EXPANSION
from schemas.settings import Settings
from schemas.values.record_copy import replace
from stream_processors.inbox.admit import NOT_READ, InboxRecord, admit
from stream_processors.replay.judged import Judged

_SECONDS: Final = 30.0


class Gone(WeirError):
    """The topic no longer has the bytes, or cannot be read; the message is for users."""


def kept_in_part(rejection: Rejection) -> bool:
    """Whether only the beginning of the rejection's original is stored."""
    return rejection.original_size >= 0 or rejection.reason == NOT_READ


def made_whole(settings: Settings, rejection: Rejection) -> Rejection:
    """The rejection with its complete original. Raises Gone."""
    [value] = _values(settings, rejection, rejection.origin_offset, rejection.origin_offset)
    if hash_of(value) != rejection.original_hash:
        raise Gone(f"{_place(rejection)} holds another record now: the topic was made anew")
    return replace(rejection, original=value, original_size=-1)


def of_batch(settings: Settings, rejection: Rejection, view: NamespaceView) -> Judged:
    """Judge all records of a compressed batch that was not read, as ``admit`` would have. Raises Gone."""
    first_offset = rejection.origin_offset - rejection.events + 1
    events: list[AcceptedEvent] = []
    for offset, value in enumerate(_values(settings, rejection, first_offset, rejection.origin_offset), first_offset):
        record = InboxRecord(
            rejection.origin_topic,
            rejection.namespace,
            rejection.origin_partition,
            offset,
            rejection.received_us,
            value,
        )
        judged = admit(record, view)
        if judged.rejection is not None:
            return Judged(rejection, why=f"still refused: offset {offset}: {judged.rejection.detail}")
        events += judged.events
    return Judged(rejection, events, namespace=rejection.namespace)


def _values(settings: Settings, rejection: Rejection, first_offset: int, last_offset: int) -> list[bytes]:
    limit = EXPANSION * settings.kafka_record_bytes
    consumer = Consumer(
        settings.librdkafka()
        | {"group.id": "weir-replay", "enable.auto.commit": False, "auto.offset.reset": "error", "log_level": 2}
        | {"receive.message.max.bytes": limit + 1_000_000, "fetch.max.bytes": settings.kafka_record_bytes}
        | {"max.partition.fetch.bytes": settings.kafka_record_bytes, "message.max.bytes": settings.kafka_record_bytes}
    )
    try:
        start = TopicPartition(rejection.origin_topic, rejection.origin_partition, first_offset)
        low, high = consumer.get_watermark_offsets(start, timeout=_SECONDS)
        if first_offset < low or last_offset >= high:
            raise Gone(
                f"its bytes were not kept whole, and {_place(rejection)} is not in the log any more; send it again"
            )
        consumer.assign([start])
        values: list[bytes] = []
        deadline = time.monotonic() + _SECONDS
        while len(values) <= last_offset - first_offset:
            message = consumer.poll(1.0)
            error = None if message is None else message.error()
            if message is not None and error is None:
                values.append(message.value() or b"")
            elif time.monotonic() > deadline:
                reason = "no answer" if error is None else error.str()
                raise Gone(
                    f"{_place(rejection)} cannot be read ({reason}); where it is too large, raise "
                    "WEIR_KAFKA_RECORD_BYTES for this command"
                )
        return values
    except KafkaException as error:
        raise Gone(f"{_place(rejection)} cannot be read: {error}") from None
    finally:
        consumer.close()


def _place(rejection: Rejection) -> str:
    return f"{rejection.origin_topic} partition {rejection.origin_partition} offset {rejection.origin_offset}"
