"""First and next offsets of partitions, and whether a consumer group has committed everything; queried from Kafka
without joining the group. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.settings import Settings

_TIMEOUT = 10


class Lag:
    """Queries offsets of ``group``; connects on first use, and anew after an error: after a restart of Kafka librdkafka
    may keep an answer that a topic has no partitions for minutes."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset and next offset of a partition. Raises KafkaException."""
        with self._connection() as consumer:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)
        return int(low), int(high)

    def ends(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Next offset of each partition, in one request for all of them. A partition that Kafka does not answer for is
        left out. Raises KafkaException."""
        if not partitions:
            return {}
        with self._connection() as consumer:
            # OFFSET_END is -1, the timestamp by which the protocol asks for the latest offset.
            questions = [TopicPartition(*partition, OFFSET_END) for partition in partitions]
            answers = consumer.offsets_for_times(questions, timeout=_TIMEOUT)
            if any(answer.error is not None for answer in answers):
                self._disconnect()
        return {
            (answer.topic, answer.partition): answer.offset
            for answer in answers
            if answer.error is None and answer.offset >= 0
        }

    def committed(self, topic: str, partition: int) -> int | None:
        """The next offset that the group reads, None if it has committed nothing. Raises KafkaException."""
        with self._connection() as consumer:
            (position,) = consumer.committed([TopicPartition(topic, partition)], timeout=_TIMEOUT)
            if position.error is not None:
                raise KafkaException(position.error)
        return int(position.offset) if position.offset >= 0 else None

    def behind(self, partitions: Sequence[tuple[str, int]]) -> bool:
        """Whether any of the partitions has records that the group has not committed. Raises KafkaException."""
        return any(
            end > max(committed or 0, self.bounds(*partition)[0])
            for partition, (committed, end) in self.standing(partitions).items()
            if end > (committed or 0)
        )

    def standing(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int | None, int]]:
        """Commit (None: nothing yet) and next offset of each partition, in two requests for all of them. A partition
        that Kafka does not answer for is left out. Raises KafkaException."""
        if not (ends := self.ends(partitions)):
            return {}
        with self._connection() as consumer:
            committed = consumer.committed([TopicPartition(*partition) for partition in partitions], timeout=_TIMEOUT)
            if any(answer.error is not None for answer in committed):
                self._disconnect()
        return {
            (commit.topic, commit.partition): (
                commit.offset if commit.offset >= 0 else None,
                ends[commit.topic, commit.partition],
            )
            for commit in committed
            if commit.error is None and (commit.topic, commit.partition) in ends
        }

    def topics(self) -> dict[str, int]:
        """Each topic that exists, with its number of partitions. Raises KafkaException."""
        with self._connection() as consumer:
            topics = consumer.list_topics(timeout=_TIMEOUT).topics
        return {name: len(topic.partitions) for name, topic in topics.items()}

    @contextmanager
    def _connection(self) -> Iterator[Consumer]:
        with self._lock:
            if self._consumer is None:
                options = {
                    "group.id": self._group,
                    "enable.auto.commit": False,
                    # As Faust reads. Otherwise a log ends where a producer's open transaction begins, and that may be
                    # below what was read.
                    "isolation.level": "read_uncommitted",
                    "log_level": 2,
                }
                self._consumer = Consumer(self._settings.librdkafka() | options)
            try:
                yield self._consumer
            except KafkaException:
                self._disconnect()
                raise

    def _disconnect(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None


def holds_record(settings: Settings, topic: str, partition: int, offset: int) -> bool:
    """Whether a partition has a record at or above an offset: what lies below its end may be the marks of transactions
    alone, which nobody is given. Raises KafkaException."""
    options = {
        "group.id": "weir-lag-commits-nothing",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_uncommitted",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 20,
        "log_level": 2,
    }
    consumer = Consumer(settings.librdkafka() | options)
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is None:
                continue
            if (error := message.error()) is None:
                return True
            if error.code() == KafkaError._PARTITION_EOF:
                return False
            if error.fatal():
                raise KafkaException(error)
    finally:
        consumer.close()
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
