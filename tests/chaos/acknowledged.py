"""Watches, all through a run, that no worker tells Kafka of a record that is not durable in ClickHouse."""

from __future__ import annotations

import threading
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import Consumer, KafkaException, TopicPartition
from urllib3.exceptions import HTTPError

from schemas.clickhouse.client import connect
from schemas.kafka.topics import events_topic
from schemas.ledgers.checkpoints import read_progress
from schemas.settings import Settings

_GROUP = "weir-worker"


class Acknowledged:
    """Compares the group's committed offsets with ``usage_progress`` twice a second. ``problems``: sentences."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acknowledged", daemon=True)
        self.problems: list[str] = []
        self.compared = 0

    def start(self) -> None:
        """In a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """The last comparison is made."""
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        own = {"group.id": _GROUP, "enable.auto.commit": False, "log_level": 0}
        consumer = Consumer(self._settings.librdkafka() | own)
        topic = events_topic(self._settings.generation)
        partitions = [TopicPartition(topic, number) for number in range(self._settings.partitions)]
        client: Any = None
        while not self._stop.wait(0.5):
            try:
                # In this order: progress only grows, so what was committed before must lie within what is read after.
                committed = {one.partition: one.offset for one in consumer.committed(partitions, timeout=3)}
                client = client or connect(self._settings, timeout_seconds=5)
                progress = read_progress(client)
            except (KafkaException, ClickHouseError, HTTPError, OSError):
                continue  # one of them is away, which is what this run is about
            self.compared += 1
            for partition, offset in committed.items():
                durable = progress.get((self._settings.generation, partition), 0)
                if offset > durable:
                    self.problems.append(f"partition {partition}: acknowledged up to {offset}, durable up to {durable}")
        consumer.close()
