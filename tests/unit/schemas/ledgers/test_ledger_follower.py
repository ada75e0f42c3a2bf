"""How often a follower queries its log's end, and when it counts as caught up."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.ledgers import ledger_follower
from schemas.ledgers.ledger_follower import Follower
from schemas.ledgers.ledger_reader import LogRecord
from schemas.settings import Settings


class Log:
    """A log of one partition in place of the reader; each poll takes its seconds. ``end``: its next offset, of which
    polls deliver one record each; ``queries``: when its end was queried."""

    def __init__(self, follower: Follower, end: int, seconds: float, meanwhile: Callable[[], None]) -> None:
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
    monkeypatch: pytest.MonkeyPatch, *, end: int, seconds: float, asking: bool = False
) -> tuple[Follower, Log]:
    """A follower of a log, after these seconds; ``asking``: somebody wants it fresh all the while."""
    follower = Follower(Settings(), "usage.catalog", lambda record: None)
    log: Any = Log(follower, end, seconds, lambda: follower.fresh(0.01) if asking else None)
    monkeypatch.setattr(ledger_follower, "time", SimpleNamespace(monotonic=lambda: log.now))
    follower._follow(log, log)
    return follower, log


def test_the_end_is_queried_first_and_then_every_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, log = followed(monkeypatch, end=0, seconds=10)
    assert log.queries[0] == 100.0
    assert 4 <= len(log.queries) <= 6
    assert follower.caught_up_at >= 107


def test_the_end_is_queried_soon_where_somebody_finds_it_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, log = followed(monkeypatch, end=0, seconds=10, asking=True)
    assert 14 <= len(log.queries) <= 20
    assert follower.caught_up_at >= 109


def test_it_has_caught_up_only_once_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, _ = followed(monkeypatch, end=20, seconds=3)
    assert follower.caught_up_at < 0
    follower, _ = followed(monkeypatch, end=4, seconds=3)
    assert follower.caught_up_at >= 100
