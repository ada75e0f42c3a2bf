"""Reads a ledger topic from its beginning, without a consumer group.

Which records are valid is decided by ``first_valid.FirstValid``.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import Final, Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from schemas.kafka.errors import kafka_error
from schemas.kafka.topics import LEDGERS
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.log_place import LogPlace, LogReplaced, RecordMark
from schemas.ledgers.pieces import Joiner
from schemas.settings import Settings

log = logging.getLogger(__name__)

_TIMEOUT: Final = 30.0
STALLED_SECONDS: Final = 120.0
"""A reader gives up after so long without a record. Never a limit of the whole: a log only grows."""
_OF_AN_ELECTION: Final = {
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._DESTROY_BROKER,  # librdkafka has just learnt that another broker has the partition
}
"""Answers while a partition gets another leader, or the same one anew: the same question is answered a moment later."""
_ELECTION_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.1
_KNOWN_SECONDS: Final = 10.0
FAILURES: Final = 5
"""After so many failures in sequence a reader connects anew."""


class LogRecord(Struct, frozen=True):
    """A record of a ledger topic. ``append_us``: broker append time, microseconds UTC. A record written in pieces
    has the offset of its last piece."""

    partition: int
    offset: int
    append_us: int
    value: bytes


class LedgerReader:
    """Reads all partitions of a topic from the beginning. Not thread-safe. Close it.
    ``wait_ms``: how long the broker holds a fetch while no record is available; a query of the log's end waits behind
    it. Short for reading up to an end, long for following. ``begin``: partition → start offset, of those to read.
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
        self._passed_over: dict[int, int] = {}  # records below are read again, and were known before
        self._expected: dict[int, RecordMark] = {}
        self._last: dict[int, tuple[int, int, bytes]] = {}
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
                raise LedgerUnavailable(
                    f"topic {self.topic}: {metadata.error.str()}; `weir init` creates the topics, as `weir up` does"
                )
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
        errors, and LogReplaced (see ``resume``)."""
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
            self._last[partition] = offset, append_us, value
            if partition in self._expected:
                self._recognise(partition)
            record = self._joiners[partition].take(value, append_us, offset) if self.topic in LEDGERS else value
            if record is not None and offset >= self._passed_over.get(partition, 0):
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
        begun_at = self._clock()
        while True:
            try:
                # OFFSET_END is -1, the timestamp by which the protocol asks for the latest offset.
                return self._offsets_at(OFFSET_END, "the end", {})
            except LedgerUnavailable as error:
                cause = kafka_error(error.__cause__ or error)
                passes = cause is not None and cause.code() in _OF_AN_ELECTION
                if not passes or self._clock() - begun_at > _ELECTION_SECONDS:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def _offsets_at(self, timestamp: int, what: str, absent: Mapping[int, int]) -> dict[int, int]:
        """By partition, the offset that Kafka has for a timestamp (milliseconds UTC, or OFFSET_END), in ``absent``
        where it has none; ``what``: that place, for errors. Raises LedgerUnavailable."""
        try:
            questions = [TopicPartition(self.topic, number, timestamp) for number in self.positions]
            answers = self._consumer.offsets_for_times(questions, timeout=5)
        except KafkaException as error:
            raise LedgerUnavailable(f"{self.topic}: {what} of the log is not known: {error}") from error
        offsets = {}
        for answer in answers:
            offset = answer.offset if answer.offset >= 0 else absent.get(answer.partition, -1)
            if answer.error is not None or offset < 0:
                raise LedgerUnavailable(
                    f"{self.topic}: {what} of partition {answer.partition} is not known: {answer.error}"
                ) from (KafkaException(answer.error) if answer.error is not None else None)
            offsets[answer.partition] = offset
        return offsets

    def offsets_since(self, at_us: int) -> dict[int, int]:
        """By partition, the offset of the first record that was appended at ``at_us`` (microseconds UTC) or later; the
        end where there is none. Raises LedgerUnavailable."""
        return self._offsets_at(at_us // 1000, "the place of that time", self.end_offsets())

    def read_to(self, ends: Mapping[int, int], stalled: float = STALLED_SECONDS) -> Iterator[LogRecord]:
        """Yield records until all positions reach ``ends``, however long that takes. Raises LedgerUnavailable after
        ``stalled`` seconds of waiting in which nothing came."""
        with closing(self.lots_to(ends, stalled)) as lots:
            for lot in lots:
                yield from lot

    def lots_to(
        self, ends: Mapping[int, int], stalled: float = STALLED_SECONDS
    ) -> Generator[list[LogRecord], None, None]:
        """The same, in lots as they come: ``positions`` and ``places`` are those after the lot."""
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
                yield self.poll(0.1)
                if self.positions != before:  # pieces of a record that is not whole yet are progress, too
                    waiting_since = self._clock()
        finally:
            if self._fetching:
                self._pause()

    def places(self) -> dict[int, LogPlace]:
        """Where it stands, for another reader to go on (``resume``)."""
        return {number: self._place(number, at) for number, at in self.positions.items()}

    def _place(self, partition: int, at: int) -> LogPlace:
        begun_at, last = self._joiners[partition].begun_at, self._last.get(partition)
        return LogPlace(at, at if begun_at is None else begun_at, last and RecordMark.of(*last))

    def resume(self, places: Mapping[int, LogPlace]) -> None:
        """Go on at ``places`` of the partitions that it reads. Records before them are read again, but not given again;
        what reads raises LogReplaced where the last one known is another one now."""
        self._joiners.clear()
        self._pause()
        for number, position in places.items():
            self.positions[number] = position.reading_from
            self._passed_over[number] = position.next_offset
            self._expected.pop(number, None)
            self._last.pop(number, None)
            if position.last is not None:
                self._expected[number] = position.last

    def knows(self, places: Mapping[int, LogPlace]) -> bool:
        """Whether the log still has the last record of each place; go on by ``resume``. Raises as ``poll``."""
        self.resume(places)
        last = {number: position.last.offset + 1 for number, position in places.items() if position.last is not None}
        try:
            for _ in self.lots_to(last, _KNOWN_SECONDS):
                pass
        except LogReplaced:
            return False
        return not self._expected

    def seek(self, positions: Mapping[int, int]) -> None:
        """Go on at ``positions``, where no record is incomplete."""
        self.resume({number: LogPlace(at, at) for number, at in positions.items()})

    def pass_over(self, ends: Mapping[int, int], last: Mapping[int, LogRecord]) -> None:
        """Go on at ``ends`` without reading what lies before them: the caller has written it and knows its places. None
        of it belongs to a record in pieces; one that had begun before is still joined. ``last``: the record before the
        end of each partition that goes on, by which another reader recognises the log."""
        self._pause()
        for number, end in ends.items():
            if end != self.positions[number]:
                self.positions[number] = end
                self._last[number] = last[number].offset, last[number].append_us, last[number].value

    def _recognise(self, partition: int) -> None:
        expected, last = self._expected[partition], self._last[partition]
        if last[0] < expected.offset:
            return
        if RecordMark.of(*last) != expected:
            raise LogReplaced(
                f"{self.topic} partition {partition} has another record at offset {expected.offset} than the one that "
                "was read there: it lost its end, or was made anew"
            )
        del self._expected[partition]

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
