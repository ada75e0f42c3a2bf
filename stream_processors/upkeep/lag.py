"""First and next offsets of partitions, and whether a consumer group has committed everything; queried from Kafka
without joining the group. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition

from schemas.settings import Settings

_TIMEOUT = 10


class Lag:
    """Queries offsets of ``group``; connects on first use."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset and next offset of a partition. Raises KafkaException."""
        with self._lock:
            low, high = self._connected().get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)
        return int(low), int(high)

    def behind(self, partitions: Sequence[tuple[str, int]]) -> bool:
        """Whether any of the partitions has records that the group has not committed. Raises KafkaException."""
        if not partitions:
            return False
        with self._lock:
            committed = self._connected().committed(
                [TopicPartition(*partition) for partition in partitions], timeout=_TIMEOUT
            )
        for partition in committed:
            low, high = self.bounds(partition.topic, partition.partition)
            if high > max(partition.offset, low):  # the offset is negative if nothing was committed yet
                return True
        return False

    def _connected(self) -> Consumer:
        if self._consumer is None:
            consumer_settings = {"group.id": self._group, "enable.auto.commit": False, "log_level": 2}
            self._consumer = Consumer(self._settings.librdkafka() | consumer_settings)
        return self._consumer
