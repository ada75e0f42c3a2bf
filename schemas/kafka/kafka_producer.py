"""The client of Kafka's that writes, so that its failing for good is always known: every producer of ours is made here.

confluent-kafka tells a fatal error (a lost sequence, a fenced producer, no right to be idempotent) once, out of
whatever call serves its callbacks next, and never to ``error_cb``. Out of ``flush`` it comes as SystemError, and the
delivery reports that the same call would have made are lost. So callbacks are served by ``poll`` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from schemas.kafka.errors import kafka_error
from schemas.settings import Settings

OnDelivery = Callable[[KafkaError | None, Any], None]
"""(why the record may not be in Kafka or None, the message with its place); called in a thread that polls."""

_POLL_SECONDS: Final = 0.05


class KafkaProducer:
    """Writes records. Thread-safe.

    ``fatal``: why it can write nothing any more, None while it can; once set, it stays, and another producer has to be
    made. ``on_fatal`` is called with it, in the thread that came to know it first. What was on its way is reported as
    failed, by the calls of ``poll`` that follow.
    """

    def __init__(
        self, settings: Settings, configuration: Mapping[str, Any], on_fatal: Callable[[KafkaError], None] | None = None
    ) -> None:
        self.fatal: KafkaError | None = None
        self._on_fatal = on_fatal
        self._client = Producer(settings.librdkafka() | {"log_level": 2} | dict(configuration))

    def produce(
        self, topic: str, value: bytes, on_delivery: OnDelivery, *, key: bytes | None = None, partition: int = -1
    ) -> None:
        """Hand one record over; ``partition`` -1 is by the key's hash. Raises BufferError where too many are on their
        way, and KafkaException; then it is not reported."""
        try:
            self._client.produce(topic, value=value, key=key, partition=partition, on_delivery=on_delivery)
        except KafkaException as error:
            cause = kafka_error(error)
            if cause is not None and _is_fatal(cause):
                self.poll(0)  # which tells the reason, where nobody has asked for it yet
                self._fail(cause)
            raise

    def poll(self, seconds: float) -> None:
        """Serve what there is to be reported, or wait for it so long."""
        try:
            self._client.poll(seconds)
        except KafkaException as error:
            cause = kafka_error(error)
            if cause is None or not _is_fatal(cause):
                raise
            self._fail(cause)

    def flush(self, seconds: float) -> int:
        """Serve reports until none is missing, for so long at most; the number still missing."""
        deadline = time.monotonic() + seconds
        while left := len(self._client):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            self.poll(min(remaining, _POLL_SECONDS))
        return left

    def partitions(self, topic: str, seconds: float) -> list[int]:
        """The numbers of a topic's partitions. Raises KafkaException."""
        return sorted(self._client.list_topics(topic, timeout=seconds).topics[topic].partitions)

    def _fail(self, error: KafkaError) -> None:
        if self.fatal is None:
            self.fatal = error
            if self._on_fatal is not None:
                self._on_fatal(error)


def _is_fatal(error: KafkaError) -> bool:
    # What is produced after the failure is refused with ``_FATAL``, which itself is not marked as fatal.
    return bool(error.fatal()) or error.code() == KafkaError._FATAL
