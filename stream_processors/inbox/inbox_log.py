"""Reads from Kafka what the consumer group of the inboxes has committed, and where a partition's records are."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.kafka.lag import Lag
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings
from stream_processors.inbox.in_sequence import InboxPartition

log = logging.getLogger(__name__)

READ_SECONDS: Final = 10.0


class KafkaInboxLog:
    """See ``in_sequence.InboxLog``. ``lag``: of the inboxes' consumer group."""

    def __init__(self, settings: Settings, lag: Lag) -> None:
        self._settings = settings
        self._lag = lag

    def committed(self, partition: InboxPartition) -> int:
        """See ``in_sequence.InboxLog``."""
        committed, (first, _) = self._lag.committed(*partition), self._lag.bounds(*partition)
        return first if committed is None else committed

    def standing(self, partitions: Sequence[InboxPartition]) -> Mapping[InboxPartition, tuple[int | None, int]]:
        """See ``in_sequence.InboxLog``."""
        return self._lag.standing(partitions)

    def first_at(self, partition: InboxPartition, offset: int) -> int:
        """See ``in_sequence.InboxLog``. Records that Kafka's retention has deleted are named in an error log line."""
        topic, number = partition
        first, end = self._lag.bounds(topic, number)
        if first > offset:
            log.error(
                "%s partition %d: Kafka deleted the records from offset %d up to %d before they were admitted; "
                "raise the topic's retention.ms, and send them again",
                topic,
                number,
                offset,
                first,
            )
            if first == end:
                return first
        options = {
            "group.id": "weir-inbox-log-commits-nothing",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            # As Faust reads the inboxes: the records of a transaction that was given up count, too.
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "log_level": 2,
        }
        consumer = Consumer(self._settings.librdkafka() | options)
        try:
            consumer.assign([TopicPartition(topic, number, max(first, offset))])
            deadline = time.monotonic() + READ_SECONDS
            while time.monotonic() < deadline:
                message = consumer.poll(0.1)
                error = None if message is None else message.error()
                if error is not None and error.fatal():
                    raise KafkaException(error)
                if message is not None and (error is None or error.code() == KafkaError._PARTITION_EOF):
                    return int(message.offset() or 0)
        finally:
            consumer.close()
        raise LedgerUnavailable(f"{topic} partition {number}: no record was read at offset {offset}")
