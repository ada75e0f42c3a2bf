"""Follows a ledger topic in a thread, from its beginning to whatever is appended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol, Self

from confluent_kafka import KafkaError, KafkaException

from schemas.kafka.errors import kafka_error
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.log_place import LogPlace, LogReplaced
from schemas.settings import Settings

log = logging.getLogger(__name__)

FOLLOWING_WAIT_MS: Final = 5_000
"""How long the broker holds an empty fetch of whoever follows a topic; a record that is appended ends it at once. Idle
followers are most of what an idle broker does (tests/bench/growth/idle.py)."""
_POLL_SECONDS: Final = 0.2
_END_SECONDS: Final = 3.0
"""How often the log's end is queried."""
_STALE_SECONDS: Final = 0.5
"""The same where somebody finds what is known of it too old (``fresh``)."""
_AWAITED_SECONDS: Final = 0.05
"""The same where somebody waits for what was appended just now (``reached``)."""


class FollowedFold(Protocol):
    """What a follower applies records to, where it can go on from a file (``FoldImage``). Called in its thread."""

    def begin(self, reader: LedgerReader, ends: Mapping[int, int], first: Mapping[int, int]) -> Mapping[int, LogPlace]:
        """Where to read on: what lies before it is applied. ``ends``: of the log; ``first``: where to begin, by
        partition, else."""

    def at_end(self, places: Mapping[int, LogPlace]) -> None:
        """All below ``places``, where the log ended, is applied."""


class Follower:
    """Follows a ledger topic in a thread and applies its records.

    ``apply(record)`` is called in that thread, in log order within a partition, and must not raise.
    ``caught_up_at``: monotonic instant at which the log's end was last known to be reached.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        apply: Callable[[LogRecord], None],
        since_us: int | None = None,
        fold: FollowedFold | None = None,
    ) -> None:
        """``since_us``: begin with records that were appended since then (microseconds UTC), not with the first.
        ``fold``: goes on from a file, if it can."""
        self._fold = fold
        self._settings = settings
        self._since_us = since_us
        self._topic = topic
        self._apply = apply
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._end_seconds = _END_SECONDS
        self._thread = threading.Thread(target=self._run, name=f"follow-{topic}", daemon=True)
        self._positions: dict[int, int] = {}
        self._places: dict[int, LogPlace] = {}
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
        """Whether the log's end was reached within the last ``seconds``. If not, it is queried soon."""
        if time.monotonic() - self.caught_up_at <= seconds:
            return True
        self._end_seconds = min(self._end_seconds, _STALE_SECONDS)
        return False

    def reached(self, moment: float) -> bool:
        """Whether all that was appended before ``moment`` (monotonic) is applied. If that is not known, the end is
        queried at once: ask again."""
        if self.caught_up_at >= moment:
            return True
        self._end_seconds = _AWAITED_SECONDS
        return False

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with (
                    LedgerReader(self._settings, self._topic, FOLLOWING_WAIT_MS) as reader,
                    LedgerReader(self._settings, self._topic) as end_reader,  # whose queries wait behind no fetch
                ):
                    self._follow(reader, end_reader)
            except (KafkaException, LedgerUnavailable) as error:
                self.error = str(error)
                self._stop.wait(0.5)

    def _follow(self, reader: LedgerReader, end_reader: LedgerReader) -> None:
        """Follow until ``stop``. Raises KafkaException and LedgerUnavailable; the next call goes on where this one was,
        or begins again where the log is another one."""
        try:
            self._go_on(reader, end_reader)
        except (LogReplaced, KafkaException) as error:
            if isinstance(error, LogReplaced) or _no_such_offset(error):
                log.error("%s; it is read again, and what it has lost stays known until this process restarts", error)
                self._places = {}
            else:
                self._note_places(reader)
            raise
        except LedgerUnavailable:
            self._note_places(reader)
            raise

    def _note_places(self, reader: LedgerReader) -> None:
        """Where to go on. A reader that has not come further than the one before knows less of the log, and one that
        never began, or whose last records were not applied, nothing."""
        for number, position in reader.places().items():
            known = self._places.get(number)
            if position.next_offset > self._positions.get(number, -1):
                continue
            if known is None or position.next_offset > known.next_offset:
                self._places[number] = position

    def _go_on(self, reader: LedgerReader, end_reader: LedgerReader) -> None:
        first = {} if self._since_us is None or self._places else end_reader.offsets_since(self._since_us)
        asked_at, ends = time.monotonic(), end_reader.end_offsets()
        if self._places:
            reader.resume(self._places)
        elif self._fold is not None and not self._positions:
            places = self._fold.begin(reader, ends, first)
            self._positions = {number: position.next_offset for number, position in places.items()}
            reader.resume(places)
        elif first:
            reader.seek(first)
        noted: dict[int, int] = {}
        while not self._stop.is_set():
            with self._changed:
                at_end = all(reader.positions[number] >= end for number, end in ends.items())
                if at_end:
                    self.caught_up_at = asked_at
                    self.error = None
                self._changed.notify_all()
            if self._fold is not None and at_end and noted != reader.positions == self._positions:
                noted = dict(reader.positions)
                self._fold.at_end(reader.places())
            if (now := time.monotonic()) - asked_at > self._end_seconds:
                self._end_seconds = _END_SECONDS
                asked_at, ends = now, end_reader.end_offsets()
            self._take(reader)

    def _take(self, reader: LedgerReader) -> None:
        for record in reader.poll(_POLL_SECONDS):
            # After a reconnect some of the log is read again; records already applied are skipped.
            if record.offset >= self._positions.get(record.partition, 0):
                self._apply(record)
                self._positions[record.partition] = record.offset + 1
        for partition, position in reader.positions.items():  # also past pieces that complete no record
            self._positions[partition] = max(position, self._positions.get(partition, 0))


def _no_such_offset(error: KafkaException) -> bool:
    cause = kafka_error(error)
    return cause is not None and cause.code() == KafkaError._AUTO_OFFSET_RESET
