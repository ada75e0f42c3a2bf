"""How often a follower queries its log's end, when it counts as caught up, and where it goes on after a failure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.ledgers import ledger_follower
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_follower import Follower
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.log_place import LogPlace, LogReplaced, RecordMark
from schemas.settings import Settings


class Log:
    """A log of one partition in place of the reader; each poll takes its seconds. ``end``: its next offset, of which
    polls deliver one record each; ``queries``: when its end was queried."""

    def __init__(self, follower: Follower, end: int, seconds: float, meanwhile: Callable[[], bool]) -> None:
        self.now, self.end, self.queries = 100.0, end, list[float]()
        self.positions = {0: 0}
        self._follower, self._until, self._meanwhile = follower, self.now + seconds, meanwhile

    def end_offsets(self) -> dict[int, int]:
        self.queries.append(self.now)
        return {0: self.end}

    def poll(self, timeout: float) -> list[LogRecord]:
        self.now += timeout
        self._meanwhile()
        if self.now >= self._until:
            self._follower._stop.set()
        if self.positions[0] == self.end:
            return []
        self.positions[0] += 1
        return [LogRecord(0, self.positions[0] - 1, 0, b"")]


def followed(
    monkeypatch: pytest.MonkeyPatch, *, end: int, seconds: float, asking: Callable[[Follower], bool] = lambda _: True
) -> tuple[Follower, Log]:
    """A follower of a log, after these seconds; ``asking``: what somebody asks all the while."""
    follower = Follower(Settings(), "usage.catalog", lambda record: None)
    log: Any = Log(follower, end, seconds, lambda: asking(follower))
    monkeypatch.setattr(ledger_follower, "time", SimpleNamespace(monotonic=lambda: log.now))
    follower._follow(log, log)
    return follower, log


def test_the_end_is_queried_first_and_then_every_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, log = followed(monkeypatch, end=0, seconds=15)
    assert log.queries[0] == 100.0
    assert 4 <= len(log.queries) <= 6
    assert follower.caught_up_at >= 111


def test_the_end_is_queried_soon_where_somebody_finds_it_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, log = followed(monkeypatch, end=0, seconds=10, asking=lambda follower: follower.fresh(0.01))
    assert 14 <= len(log.queries) <= 20
    assert follower.caught_up_at >= 109


def test_it_has_caught_up_only_once_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, _ = followed(monkeypatch, end=20, seconds=3)
    assert follower.caught_up_at < 0
    follower, _ = followed(monkeypatch, end=4, seconds=3)
    assert follower.caught_up_at >= 100


def test_the_end_is_queried_at_once_where_somebody_waits_for_what_was_appended(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, log = followed(monkeypatch, end=0, seconds=2, asking=lambda follower: follower.reached(105))
    assert len(log.queries) >= 9  # at every poll
    assert follower.reached(101)
    assert not follower.reached(105)
    # What was appended before the last query is known, and costs no other.
    _, log = followed(monkeypatch, end=0, seconds=2, asking=lambda follower: follower.reached(100))
    assert len(log.queries) == 1


class BrokenLog:
    """A log of one partition whose connection fails after ``reads`` messages; ``last``: the checksum of each."""

    def __init__(self, reads: int, checksum: int = 7, first: int = 0) -> None:
        self.positions, self.read, self._checksum, self._first = {0: 0}, list[int](), checksum, first
        self._left, self._mark = reads, None
        self.resumed: Any = None

    def end_offsets(self) -> dict[int, int]:
        return {0: 9}

    def resume(self, places: dict[int, LogPlace]) -> None:
        self.resumed = places[0]
        self.positions = {0: places[0].reading_from}

    def places(self) -> dict[int, LogPlace]:
        at = self.positions[0]
        return {0: LogPlace(at, at, RecordMark(at - 1, 0, self._checksum) if self.read else None)}

    def poll(self, timeout: float) -> list[LogRecord]:
        at = self.positions[0]
        if at < self._first:
            raise KafkaException(KafkaError(KafkaError._AUTO_OFFSET_RESET))
        if not self._left:
            raise LedgerUnavailable("the connection broke")
        if self.resumed is not None and (last := self.resumed.last).offset == at and last.checksum != self._checksum:
            raise LogReplaced("another log")
        self._left -= 1
        self.read.append(at)
        self.positions[0] = at + 1
        return [LogRecord(0, at, 0, b"")]


def read_until_it_fails(follower: Follower, log: Any, error: type[Exception] = LedgerUnavailable) -> list[int]:
    """Offsets that were read of the log."""
    with pytest.raises(error):
        follower._follow(log, log)
    return list(log.read)


def test_after_a_failure_it_goes_on_where_it_was_in_the_same_log_and_else_reads_all_of_it() -> None:
    applied: list[int] = []
    follower = Follower(Settings(), "usage.catalog", lambda record: applied.append(record.offset))

    connected = partial(read_until_it_fails, follower)
    assert connected(BrokenLog(3)) == [0, 1, 2]
    assert connected(BrokenLog(0)) == []  # it comes to nothing, and forgets nothing
    assert connected(BrokenLog(3)) == [2, 3, 4]  # the last known record once more, by which it knows the log
    assert applied == [0, 1, 2, 3, 4]
    assert connected(BrokenLog(3, checksum=8), LogReplaced) == []
    assert connected(BrokenLog(7, checksum=8)) == [0, 1, 2, 3, 4, 5, 6]
    assert applied == [0, 1, 2, 3, 4, 5, 6]
    # What it was to go on after has passed its retention.
    assert connected(BrokenLog(3, checksum=8, first=8), KafkaException) == []
    assert connected(log := BrokenLog(0, checksum=8)) == []
    assert log.resumed is None


class UnknownEnd(BrokenLog):
    """A log whose end is not known yet."""

    def end_offsets(self) -> dict[int, int]:
        raise LedgerUnavailable("no leader")


def test_a_first_connection_that_fails_before_it_has_begun_leaves_the_file_of_the_fold_to_the_next() -> None:
    begun: list[int] = []

    class Fold:
        def begin(self, reader: Any, ends: Any, first: Any) -> dict[int, LogPlace]:
            begun.append(ends[0])
            return {0: LogPlace(4, 4, RecordMark(3, 0, 7))}

        def at_end(self, places: Any) -> None:
            """It is not written."""

    applied: list[int] = []
    follower = Follower(Settings(), "usage.catalog", lambda record: applied.append(record.offset), fold=Fold())
    for log in (UnknownEnd(0), UnknownEnd(0), BrokenLog(3)):  # the last known record once more
        read_until_it_fails(follower, log)
    assert (begun, applied) == ([9], [4, 5])
