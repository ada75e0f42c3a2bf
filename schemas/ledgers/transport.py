"""Reading and writing ledger topics: followers without a consumer group, writers that wait for their record.

The rule that decides between records is ``ledger.FirstValid``; here is only its transport.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas.errors import CannotGoOn, WeirError
from schemas.kafka.errors import RecordRefused, explained, kafka_error, meaning
from schemas.kafka.limits import producing, value_limit
from schemas.kafka.topics import LEDGERS
from schemas.ledgers.pieces import MAX_WHOLE_BYTES, Joiner, cut
from schemas.settings import Settings

_FOLLOWING_WAIT_MS: Final = 100
_TIMEOUT: Final = 30.0


class LedgerUnavailable(WeirError):
    """Kafka did not answer in time; nothing is known to be written. Try again."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a ledger topic; ``append_us`` is its broker append time, microseconds UTC. One that was written in
    pieces stands whole at the offset of the last."""

    partition: int
    offset: int
    append_us: int
    value: bytes


class LedgerReader:
    """Reads every partition of one topic from its beginning. Not thread-safe. Close it.

    ``wait_ms``: how long the broker holds a request for what is not written yet; a question for the log's end waits
    behind it, on the same connection. ``begin``: partition → offset to begin at, instead of every partition's
    beginning. Short for who reads to an end, and then asks for no more until it reads again; long for who polls for
    hours.
    """

    def __init__(
        self, settings: Settings, topic: str, wait_ms: int = 20, begin: Mapping[int, int] | None = None
    ) -> None:
        self.topic = topic
        self._consumer = Consumer(
            settings.librdkafka()
            | {
                "group.id": "weir-followers-commit-nothing",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": False,
                "fetch.wait.max.ms": wait_ms,
                "log_level": 2,
            }
        )
        metadata = self._consumer.list_topics(topic, timeout=_TIMEOUT)
        topic_metadata = metadata.topics[topic]
        if topic_metadata.error is not None:
            raise LedgerUnavailable(f"topic {topic}: {topic_metadata.error.str()}; `weir up` creates the topics")
        self.positions: dict[int, int] = (
            dict.fromkeys(sorted(topic_metadata.partitions), 0) if begin is None else dict(begin)
        )
        self._joiners: defaultdict[int, Joiner] = defaultdict(Joiner)
        self._consumer.assign(
            [TopicPartition(topic, number, start or OFFSET_BEGINNING) for number, start in self.positions.items()]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self, timeout: float, limit: int = 1000) -> list[LogRecord]:
        """What came, in order within a partition; ``positions`` then stand after it. Raises KafkaException when
        fatal."""
        records: list[LogRecord] = []
        # consume() alone would wait for ``limit`` of them, or all of ``timeout``.
        received = self._consumer.poll(timeout)
        messages = [] if received is None else [received, *self._consumer.consume(limit - 1, 0)]
        for message in messages:
            error = message.error()
            if error is not None:
                if error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
                    raise KafkaException(error)
                continue
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None:
                continue
            self.positions[partition] = offset + 1
            append_us = message.timestamp()[1] * 1000
            value = message.value() or b""
            record = self._joiners[partition].take(value, append_us) if self.topic in LEDGERS else value
            if record is not None:
                records.append(LogRecord(partition, offset, append_us, record))
        return records

    def end_offsets(self) -> dict[int, int]:
        """The log's end of this moment, by partition. Raises LedgerUnavailable."""
        try:
            questions = [
                TopicPartition(self.topic, number, OFFSET_END) for number in self.positions
            ]  # -1, the protocol's "latest"
            answers = self._consumer.offsets_for_times(questions, timeout=5)
        except KafkaException as error:
            raise LedgerUnavailable(f"{self.topic}: the end of the log is not known: {error}") from error
        for answer in answers:
            if answer.error is not None or answer.offset < 0:
                raise LedgerUnavailable(
                    f"{self.topic}: the end of partition {answer.partition} is not known: {answer.error}"
                )
        return {answer.partition: answer.offset for answer in answers}

    def read_to(self, ends: dict[int, int], timeout: float = 120.0) -> Iterator[LogRecord]:
        """Records until every position has reached ``ends``. Raises LedgerUnavailable after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while any(self.positions[number] < end for number, end in ends.items()):
            if time.monotonic() > deadline:
                raise LedgerUnavailable(f"{self.topic}: its end was not reached within {timeout:g} s")
            yield from self.poll(0.1)

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()


Place = tuple[int, int]
"""(partition, offset) of a durable record; of the last piece where it was written in pieces."""


class LedgerWriter:
    """Writes a few records at a time, acks=all, idempotent. Thread-safe. On a ledger a record that is larger than a
    record may be is written in pieces; on other topics it is refused.

    The broker is asked for a producer id from the first moment on, and once more after half a second: make it before
    the reading that precedes a write.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic = topic
        self.limit = value_limit(settings)
        self._settings = settings
        self._producer = self._new_producer()

    def _new_producer(self) -> Producer:
        return Producer(
            self._settings.librdkafka()
            | producing(self._settings)
            | {
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 0,
                "delivery.timeout.ms": 15_000,
                "log_level": 2,
            }
        )

    def append(self, key: bytes, value: bytes, partition: int | None = None) -> Place:
        """Where the durable record is. Raises as ``append_all`` does."""
        return self.append_all([(key, value)], partition)[0]

    def append_all(self, records: Sequence[tuple[bytes, bytes]], partition: int | None = None) -> list[Place]:
        """Several records at once, in order within a partition; where each is.

        Raises RecordRefused where Kafka takes one of them neither now nor later, CannotGoOn where somebody has to
        change something first, and LedgerUnavailable where it may pass; after each of them records may have got in, or
        may still.
        """
        placed: list[Place] = []
        for (_, value), result in zip(records, self.deliver(records, partition), strict=True):
            if not isinstance(result, KafkaError):
                placed.append(result)
            elif meaning(result) == "not this record":
                raise RecordRefused(self.topic, len(value), self._most(), result.str())
            elif meaning(result) == "cannot go on":
                raise CannotGoOn(f"{self.topic}: {explained(result)}")
            else:
                raise LedgerUnavailable(f"{self.topic}: not written: {result.str()}")
        return placed

    def deliver(self, records: Sequence[tuple[bytes, bytes]], partition: int | None = None) -> list[Place | KafkaError]:
        """What became of each record: its place, or why it may not be in Kafka."""
        results: list[Place | KafkaError] = [KafkaError(KafkaError._TIMED_OUT, "no answer from the broker")] * len(
            records
        )
        failed: dict[int, KafkaError] = {}

        def report(number: int, last: bool) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    failed.setdefault(number, error)
                elif last:
                    results[number] = (message.partition(), message.offset())

            return delivered

        where = -1 if partition is None else partition  # -1: by the key's hash
        producer = self._producer
        for number, (key, value) in enumerate(records):
            pieces = list(cut(value, self.limit, os.urandom(16))) if self._cuts(value) else [value]
            for index, piece in enumerate(pieces):
                error = self._produce(producer, key, piece, where, report(number, index + 1 == len(pieces)))
                if error is not None:
                    failed.setdefault(number, error)
                    break
        producer.flush(20)
        for number, error in failed.items():
            results[number] = error
        if any(error.fatal() for error in failed.values()):
            self._producer = self._new_producer()  # the old one can write nothing any more
        return results

    def _most(self) -> int:
        return MAX_WHOLE_BYTES if self.topic in LEDGERS else self.limit

    def _cuts(self, value: bytes) -> bool:
        return self.topic in LEDGERS and self.limit < len(value) <= MAX_WHOLE_BYTES

    def _produce(
        self, producer: Producer, key: bytes, value: bytes, partition: int, on_delivery: Callable[[Any, Any], None]
    ) -> KafkaError | None:
        while True:
            try:
                producer.produce(self.topic, key=key, value=value, on_delivery=on_delivery, partition=partition)
                return None
            except BufferError:  # full of what is on its way, which leaves it within ``delivery.timeout.ms``
                producer.poll(0.1)
            except KafkaException as error:
                return kafka_error(error) or KafkaError(KafkaError._FAIL, str(error))


class Follower:
    """A thread that keeps a fold of one ledger topic up to date.

    ``apply(record)`` runs in the thread, in log order within a partition, and must not raise. ``caught_up_at`` is the
    monotonic instant at which the fold was last known to be at the log's end.
    """

    def __init__(self, settings: Settings, topic: str, apply: Callable[[LogRecord], None]) -> None:
        self._settings = settings
        self._topic = topic
        self._apply = apply
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow-{topic}", daemon=True)
        self._positions: dict[int, int] = {}
        self.caught_up_at: float = float("-inf")
        self.error: str | None = None

    def start(self, timeout: float = 60.0) -> Self:
        """Start, and wait until the log's present end is read. Raises LedgerUnavailable."""
        self._thread.start()
        with self._changed:
            if not self._changed.wait_for(lambda: self.caught_up_at > 0, timeout):
                raise LedgerUnavailable(
                    f"{self._topic} could not be read within {timeout:g} s: {self.error or 'no answer'}"
                )
        return self

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stop.set()
        self._thread.join(10)

    def wait_for(self, partition: int, next_offset: int, timeout: float) -> bool:
        """Wait until everything below ``next_offset`` of ``partition`` is applied; False after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._positions.get(partition, 0) >= next_offset, timeout)

    def fresh(self, seconds: float) -> bool:
        """Whether the fold was at the log's end within the last ``seconds``."""
        return time.monotonic() - self.caught_up_at <= seconds

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with LedgerReader(self._settings, self._topic, _FOLLOWING_WAIT_MS) as reader:
                    self._follow(reader)
            except (KafkaException, LedgerUnavailable) as error:
                self.error = str(error)
                self._stop.wait(0.5)

    def _follow(self, reader: LedgerReader) -> None:
        asked_at = float("-inf")
        ends: dict[int, int] = {}
        while not self._stop.is_set():
            for record in reader.poll(0.05):
                # After a reconnect the log is read again from its beginning; what was applied is passed over.
                if record.offset >= self._positions.get(record.partition, 0):
                    self._apply(record)
                    self._positions[record.partition] = record.offset + 1
            for partition, position in reader.positions.items():  # also past what is no record of its own
                self._positions[partition] = max(position, self._positions.get(partition, 0))
            now = time.monotonic()
            if now - asked_at > 0.5:
                ends, asked_at = reader.end_offsets(), now
            with self._changed:
                if ends and all(reader.positions[number] >= end for number, end in ends.items()):
                    self.caught_up_at = asked_at
                    self.error = None
                self._changed.notify_all()
