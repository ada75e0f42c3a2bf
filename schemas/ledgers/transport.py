"""Reads and writes ledger topics: followers without a consumer group, and writers that wait for their records.

Which records are valid is decided by ``first_valid.FirstValid``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import CannotGoOn, WeirError
from schemas.kafka.errors import RecordRefused, explained, kafka_error, meaning
from schemas.kafka.kafka_producer import KafkaProducer, OnDelivery
from schemas.kafka.limits import producing, value_limit
from schemas.kafka.topics import LEDGERS
from schemas.ledgers.pieces import MAX_WHOLE_BYTES, Joiner, cut
from schemas.settings import Settings

log = logging.getLogger(__name__)

_FOLLOWING_WAIT_MS: Final = 100
_TIMEOUT: Final = 30.0
STALLED_SECONDS: Final = 120.0
"""A reader gives up after so long without a record. Never a limit of the whole: a log only grows, and one that cannot
be read in that time could never be read again."""
FAILURES: Final = 5
"""After so many failures in sequence a reader connects anew."""


class LedgerUnavailable(WeirError):
    """Kafka did not answer in time; whether anything was written is unknown. Try again."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of a ledger topic. ``append_us``: broker append time, microseconds UTC. A record written in pieces
    has the offset of its last piece."""

    partition: int
    offset: int
    append_us: int
    value: bytes


class LedgerReader:
    """Reads all partitions of a topic from the beginning. Not thread-safe. Close it.

    ``wait_ms``: how long the broker holds a fetch while no record is available; a query of the log's end waits
    behind it on the same connection. Short for reading up to an end, long for following a topic. ``begin``:
    partition → start offset; only these partitions are then read.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        wait_ms: int = 20,
        begin: Mapping[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topic = topic
        self._settings = settings
        self._clock = clock
        self._own = {
            "group.id": "weir-followers-commit-nothing",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": False,
            "fetch.wait.max.ms": wait_ms,
            "log_level": 2,
        }
        self._joiners: defaultdict[int, Joiner] = defaultdict(Joiner)
        self._failures = 0
        self._fetching = False
        self.positions: dict[int, int] = {} if begin is None else dict(begin)
        self._consumer = self._connected()

    def _connected(self) -> Consumer:
        """A consumer that fetches nothing yet. Raises KafkaException, LedgerUnavailable."""
        consumer = Consumer(self._settings.librdkafka() | self._own)
        try:
            metadata = consumer.list_topics(self.topic, timeout=_TIMEOUT).topics[self.topic]
            if metadata.error is not None:
                raise LedgerUnavailable(f"topic {self.topic}: {metadata.error.str()}; `weir up` creates the topics")
        except BaseException:
            consumer.close()
            raise
        self.positions = self.positions or dict.fromkeys(sorted(metadata.partitions), 0)
        return consumer

    def _fetch(self) -> None:
        if not self._fetching:
            self._consumer.assign(
                [TopicPartition(self.topic, number, at or OFFSET_BEGINNING) for number, at in self.positions.items()]
            )
            self._fetching = True

    def _pause(self) -> None:
        """Fetch nothing until the next ``poll``: an idle consumer's fetches cost the broker 4 % of a core
        (tests/bench/bench_held_readers.py), and a query of the log's end waits behind them."""
        self._consumer.unassign()
        self._fetching = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self, timeout: float, limit: int = 1000) -> list[LogRecord]:
        """The next records, in order within each partition; updates ``positions``. Raises KafkaException for fatal
        errors."""
        records: list[LogRecord] = []
        self._fetch()
        # consume() alone would wait for ``limit`` messages or for all of ``timeout``.
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
        """The present end offsets by partition. Raises LedgerUnavailable."""
        try:
            ends = self._ends()
        except LedgerUnavailable:
            self._failures += 1
            if self._failures % FAILURES == 0:
                self._reconnect()
            raise
        self._failures = 0
        return ends

    def _reconnect(self) -> None:
        """Go on with a new consumer. After a restart of Kafka librdkafka may keep an answer that a topic has no
        partitions for minutes, in which a reader that is held would be without an end."""
        try:
            replacement = self._connected()
        except (KafkaException, LedgerUnavailable) as error:
            log.warning("%s: not connected anew: %s", self.topic, error)
            return
        previous, self._consumer = self._consumer, replacement
        self._fetching = False
        previous.close()

    def _ends(self) -> dict[int, int]:
        try:
            # OFFSET_END is -1, the timestamp by which the protocol asks for the latest offset.
            questions = [TopicPartition(self.topic, number, OFFSET_END) for number in self.positions]
            answers = self._consumer.offsets_for_times(questions, timeout=5)
        except KafkaException as error:
            raise LedgerUnavailable(f"{self.topic}: the end of the log is not known: {error}") from error
        for answer in answers:
            if answer.error is not None or answer.offset < 0:
                raise LedgerUnavailable(
                    f"{self.topic}: the end of partition {answer.partition} is not known: {answer.error}"
                )
        return {answer.partition: answer.offset for answer in answers}

    def read_to(self, ends: Mapping[int, int], stalled: float = STALLED_SECONDS) -> Iterator[LogRecord]:
        """Yield records until all positions reach ``ends``, however long that takes. Raises LedgerUnavailable after
        ``stalled`` seconds of waiting in which nothing came."""
        waiting_since = self._clock()
        try:
            while any(self.positions[number] < end for number, end in ends.items()):
                if self._clock() - waiting_since > stalled:
                    self._reconnect()
                    raise LedgerUnavailable(
                        f"{self.topic}: nothing came for {stalled:g} s before its end was reached, at "
                        f"{_missing(self.positions, ends)}"
                    )
                before = dict(self.positions)
                yield from self.poll(0.1)
                if self.positions != before:  # pieces of a record that is not whole yet are progress, too
                    waiting_since = self._clock()
        finally:
            if self._fetching:
                self._pause()

    def close(self) -> None:
        """Disconnect."""
        self._fetching = False
        self._consumer.close()


def _missing(positions: Mapping[int, int], ends: Mapping[int, int]) -> str:
    return ", ".join(
        f"partition {number} offset {positions[number]} of {end}"
        for number, end in sorted(ends.items())
        if positions[number] < end
    )


RecordPlace = tuple[int, int]
"""(partition, offset) of a durable record; of its last piece if it was written in pieces."""


class LedgerWriter:
    """Writes small numbers of records with acks=all and idempotence. Thread-safe. A record beyond the size limit is
    written in pieces to a ledger, and refused on other topics.

    The producer requests its id from the broker on construction, and again after half a second: construct it before
    reading what precedes a write.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic = topic
        self.limit = value_limit(settings)
        self._settings = settings
        self._replacing = threading.Lock()
        self._producer = self._new_producer()

    def _new_producer(self) -> KafkaProducer:
        own = {"enable.idempotence": True, "acks": "all", "linger.ms": 0, "delivery.timeout.ms": 15_000}
        return KafkaProducer(self._settings, producing(self._settings) | own)

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
                self._producer = self._new_producer()
            return self._producer

    def append(self, key: bytes, value: bytes, partition: int | None = None) -> RecordPlace:
        """Write one record and return its position. Raises as ``append_all``."""
        return self.append_all([(key, value)], partition)[0]

    def append_all(self, records: Sequence[tuple[bytes, bytes]], partition: int | None = None) -> list[RecordPlace]:
        """Write records, in order within a partition; returns their positions.

        Raises RecordRefused if Kafka will never accept one of them, CannotGoOn if somebody must change something
        first, and LedgerUnavailable if a retry may succeed. In each case some records may have been written, or may
        still be.
        """
        placed: list[RecordPlace] = []
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

    def deliver(
        self, records: Sequence[tuple[bytes, bytes]], partition: int | None = None
    ) -> list[RecordPlace | KafkaError]:
        """Write records; returns for each its position, or the error due to which it may not be in Kafka."""
        results: list[RecordPlace | KafkaError] = [
            KafkaError(KafkaError._TIMED_OUT, "no answer from the broker")
        ] * len(records)
        failed: dict[int, KafkaError] = {}

        def report(number: int, last: bool) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    failed.setdefault(number, error)
                elif last:
                    results[number] = (message.partition(), message.offset())

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

    def _most(self) -> int:
        return MAX_WHOLE_BYTES if self.topic in LEDGERS else self.limit

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


class Follower:
    """Follows a ledger topic in a thread and applies its records.

    ``apply(record)`` is called in that thread, in log order within a partition, and must not raise.
    ``caught_up_at``: monotonic instant at which the log's end was last known to be reached.
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

    def start(self, stalled: float = 60.0) -> Self:
        """Start, and wait until the log's present end is read, however long that takes. Raises LedgerUnavailable
        after ``stalled`` seconds in which nothing was applied."""
        self._thread.start()
        with self._changed:
            while self.caught_up_at <= 0:
                further = partial(self._further, self._applied())
                if not self._changed.wait_for(further, stalled):
                    raise LedgerUnavailable(
                        f"{self._topic} could not be read, nothing came for {stalled:g} s: {self.error or 'no answer'}"
                    )
        return self

    def _applied(self) -> int:
        """Only grows, also where the log is read again from its beginning."""
        return sum(self._positions.values())

    def _further(self, applied: int) -> bool:
        return self.caught_up_at > 0 or self._applied() > applied

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stop.set()
        self._thread.join(10)

    def wait_for(self, partition: int, next_offset: int, timeout: float) -> bool:
        """Wait until everything below ``next_offset`` of ``partition`` is applied; False after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._positions.get(partition, 0) >= next_offset, timeout)

    def fresh(self, seconds: float) -> bool:
        """Whether the log's end was reached within the last ``seconds``."""
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
                # After a reconnect the log is read again from its beginning; records already applied are skipped.
                if record.offset >= self._positions.get(record.partition, 0):
                    self._apply(record)
                    self._positions[record.partition] = record.offset + 1
            for partition, position in reader.positions.items():  # also past pieces that complete no record
                self._positions[partition] = max(position, self._positions.get(partition, 0))
            now = time.monotonic()
            if now - asked_at > 0.5:
                ends, asked_at = reader.end_offsets(), now
            with self._changed:
                if ends and all(reader.positions[number] >= end for number, end in ends.items()):
                    self.caught_up_at = asked_at
                    self.error = None
                self._changed.notify_all()
