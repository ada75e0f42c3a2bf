"""Writes records to a topic and waits until Kafka has acknowledged each of them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import CannotGoOn
from schemas.kafka.errors import RecordRefused, explained, kafka_error, meaning
from schemas.kafka.kafka_producer import KafkaProducer, OnDelivery
from schemas.kafka.limits import LARGE_SET_BYTES, MERGED_BYTES, producing, topic_limit, value_limit
from schemas.kafka.topics import LEDGERS
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.pieces import MAX_WHOLE_BYTES, cut
from schemas.settings import Settings

log = logging.getLogger(__name__)

_LEAST_PIECE_BYTES: Final = 4 * 1024
_ROUNDS: Final = 20
"""More than it takes to halve the largest limit down to the least."""

RecordPlace = tuple[int, int]
"""(partition, offset) of a durable record; of its last piece if it was written in pieces."""


class LedgerWriter:
    """Writes small numbers of records with acks=all and idempotence. Thread-safe. A record beyond the size limit is
    written in pieces to a ledger, and refused on other topics.

    The limit is that of the settings until the topic refuses a record by its size; then it is the topic's, and what
    fits is written once more. A limit that may not be read (without the right DescribeConfigs) is halved until what can
    be written is. ``limit``: the largest value that is written whole, in bytes.

    The producer requests its id from the broker on construction, and again after half a second: construct it before
    reading what precedes a write.
    """

    def __init__(
        self, settings: Settings, topic: str, on_unreadable: Callable[[str, int], None] = lambda topic, size: None
    ) -> None:
        """``on_unreadable`` is called, in any thread, with the limit in bytes that is kept to where the topic refused a
        record and its own limit may not be read."""
        self.topic = topic
        self._on_unreadable = on_unreadable
        self._settings = settings
        self._record_bytes = settings.kafka_record_bytes
        self._replacing = threading.Lock()
        self._producer = self._new_producer(self._record_bytes)

    @property
    def limit(self) -> int:
        """See the class."""
        return value_limit(self._record_bytes)

    def _new_producer(self, record_bytes: int) -> KafkaProducer:
        options = {"enable.idempotence": True, "acks": "all", "linger.ms": 0, "delivery.timeout.ms": 15_000}
        lowered = record_bytes < self._settings.kafka_record_bytes
        sizes = producing(record_bytes, MERGED_BYTES if lowered else LARGE_SET_BYTES)
        return KafkaProducer(self._settings, sizes | options)

    def _living(self) -> KafkaProducer:
        """A producer that has not failed while nobody wrote."""
        producer = self._producer
        producer.poll(0)
        return self._instead_of(producer) if producer.fatal is not None else producer

    def _instead_of(self, failed: KafkaProducer) -> KafkaProducer:
        """Another producer, with a sequence of its own: what the failed one left doubtful is its caller's to read back
        or to repeat, as after any failure."""
        with self._replacing:
            if self._producer is failed:
                self._producer = self._new_producer(self._record_bytes)
            return self._producer

    def append(self, key: bytes, value: bytes, partition: int | None = None) -> RecordPlace:
        """Write one record and return its position. Raises as ``append_all``."""
        return self.append_all([(key, value)], partition)[0]

    def append_all(
        self,
        records: Sequence[tuple[bytes, bytes]],
        partition: int | None = None,
        append_times: dict[RecordPlace, int] | None = None,
    ) -> list[RecordPlace]:
        """Write records, in order within a partition; returns their positions. ``append_times`` gets the append time
        of each, microseconds UTC.

        Raises RecordRefused if Kafka will never accept one of them, CannotGoOn if somebody must change something
        first, and LedgerUnavailable if a retry may succeed. In each case some records may have been written, or may
        still be.
        """
        placed: list[RecordPlace] = []
        for (_, value), result in zip(records, self.deliver(records, partition, append_times), strict=True):
            if not isinstance(result, KafkaError):
                placed.append(result)
            elif meaning(result) == "not this record":
                raise RecordRefused(self.topic, len(value), self._most(value), result.str())
            elif meaning(result) == "cannot go on":
                raise CannotGoOn(f"{self.topic}: {explained(result)}")
            else:
                raise LedgerUnavailable(f"{self.topic}: not written: {result.str()}")
        return placed

    def deliver(
        self,
        records: Sequence[tuple[bytes, bytes]],
        partition: int | None = None,
        append_times: dict[RecordPlace, int] | None = None,
    ) -> list[RecordPlace | KafkaError]:
        """Write records; returns for each its position, or the error due to which it may not be in Kafka.
        ``append_times``: as in ``append_all``.

        Records that the topic first refused by their size are written after the others, so out of order. In a ledger
        the later record of a chain is then void, and its writer, which reads it back, writes it again; in usage.events
        only copies of an event have an order, and whichever lies first counts.
        """
        record_bytes = self._record_bytes
        results = self._attempt(records, partition, append_times)
        for _ in range(_ROUNDS):
            refused = [number for number, result in enumerate(results) if _by_size(result)]
            if not refused:
                break
            try:
                self._adopt_limit(record_bytes, [len(records[number][1]) for number in refused])
            except KafkaException as error:  # which of them fit is not known: all may be tried again
                unknown = kafka_error(error) or KafkaError(KafkaError._TIMED_OUT, str(error))
                for number in refused:
                    results[number] = unknown
                break
            if self._record_bytes == record_bytes:
                break
            record_bytes = self._record_bytes
            again = self._attempt([records[number] for number in refused], partition, append_times)
            for number, result in zip(refused, again, strict=True):
                results[number] = result
        return results

    def _adopt_limit(self, before: int, refused: Sequence[int]) -> None:
        """Take the topic's present limit for this writer's, with a producer that keeps to it. A limit of 0 marks a
        sealed topic, which takes nothing. ``before``: the limit at which values of ``refused`` bytes were refused.
        Raises KafkaException."""
        try:
            topic_bytes = topic_limit(self._settings, self.topic)
        except KafkaException as error:
            cause = kafka_error(error)
            if cause is None or meaning(cause) != "cannot go on":
                raise
            # Without the right to read it, all that is known is what was refused: by the topic, not by the producer.
            most = MAX_WHOLE_BYTES if self.topic in LEDGERS else value_limit(before)
            topic_bytes = before // 2 if min(refused) <= most else before
            self._on_unreadable(self.topic, topic_bytes)
        record_bytes = min(topic_bytes, self._settings.kafka_record_bytes)
        with self._replacing:
            changed = self._record_bytes != before  # by another thread
            if changed or record_bytes == before or value_limit(record_bytes) < _LEAST_PIECE_BYTES:
                return
            log.warning("%s takes records of up to %d bytes: smaller ones are written", self.topic, record_bytes)
            # In this order: who begins between the two with the new limit would take the old producer's refusal for
            # that of the new one.
            self._producer = self._new_producer(record_bytes)
            self._record_bytes = record_bytes

    def _attempt(
        self,
        records: Sequence[tuple[bytes, bytes]],
        partition: int | None,
        append_times: dict[RecordPlace, int] | None,
    ) -> list[RecordPlace | KafkaError]:
        results: list[RecordPlace | KafkaError] = [
            KafkaError(KafkaError._TIMED_OUT, "no answer from the broker")
        ] * len(records)
        failed: dict[int, KafkaError] = {}

        def report(number: int, last: bool) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    failed.setdefault(number, error)
                elif last and message.offset() is not None:  # without it the record is its caller's to read back
                    results[number] = place = (message.partition(), message.offset())
                    if append_times is not None:
                        append_times[place] = message.timestamp()[1] * 1000

            return delivered

        where = -1 if partition is None else partition  # -1: by the key's hash
        producer = self._living()
        for number, (key, value) in enumerate(records):
            pieces = list(cut(value, self.limit, os.urandom(16))) if self._cuts(value) else [value]
            for index, piece in enumerate(pieces):
                error = self._produce(producer, key, piece, where, report(number, index + 1 == len(pieces)))
                if error is not None:
                    failed.setdefault(number, error)
                    break
        producer.flush(20)
        fatal = producer.fatal
        for number, error in failed.items():
            # Of a producer that failed for good the reports say that they were purged; the reason is its own.
            results[number] = error if fatal is None or meaning(error) != "may pass" else fatal
        if fatal is not None:
            log.error("%s: the producer has failed for good and is made anew: %s", self.topic, fatal.str())
            self._instead_of(producer)
        return results

    def _most(self, value: bytes) -> int:
        return MAX_WHOLE_BYTES if self.topic in LEDGERS and len(value) > MAX_WHOLE_BYTES else self.limit

    def _cuts(self, value: bytes) -> bool:
        return self.topic in LEDGERS and self.limit < len(value) <= MAX_WHOLE_BYTES

    def _produce(
        self, producer: KafkaProducer, key: bytes, value: bytes, partition: int, on_delivery: OnDelivery
    ) -> KafkaError | None:
        while True:
            try:
                producer.produce(self.topic, value, on_delivery, key=key, partition=partition)
                return None
            except BufferError:  # the queue is full; records leave it within ``delivery.timeout.ms``
                producer.poll(0.1)
            except KafkaException as error:
                return kafka_error(error) or KafkaError(KafkaError._FAIL, str(error))


def _by_size(result: RecordPlace | KafkaError) -> bool:
    return isinstance(result, KafkaError) and meaning(result) == "not this record"
