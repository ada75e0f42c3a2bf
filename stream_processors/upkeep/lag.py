"""Where a log begins and ends, and how far a consumer group has committed: asked of Kafka beside the consumers.
Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition

from schemas.settings import Settings

_TIMEOUT = 10


class Lag:
    """Asks in the name of ``group``, which it never joins. Connects when first asked."""

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
        """Whether one of the partitions has records that the group has not committed. Raises KafkaException."""
        if not partitions:
            return False
        with self._lock:
            committed = self._connected().committed(
                [TopicPartition(*partition) for partition in partitions], timeout=_TIMEOUT
            )
        for partition in committed:
            low, high = self.bounds(partition.topic, partition.partition)
            if high > max(partition.offset, low):  # a negative offset: nothing was committed yet
                return True
        return False

    def _connected(self) -> Consumer:
        if self._consumer is None:
            consumer_settings = {"group.id": self._group, "enable.auto.commit": False, "log_level": 2}
            self._consumer = Consumer(self._settings.librdkafka() | consumer_settings)
        return self._consumer
