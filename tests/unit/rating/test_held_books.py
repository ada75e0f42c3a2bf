"""Counts of books that a page shows: of this moment where that is quick, else rarely counted, by one at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rating import held_books
from rating.books import EventBooks
from rating.held_books import LONGEST_SECONDS, HeldBooks

AT = datetime(2026, 9, 1, tzinfo=UTC)
BOOKS = EventBooks("air", 0, 5, 5, 0, 0, 0)


class Hours:
    """A clock, and how long a count takes by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = 1_000.0
        self.seconds = seconds
        monkeypatch.setattr(held_books, "read_books", self._count)

    def _count(self, client: Any, namespace: str, counts: Any) -> EventBooks:
        self.now += self.seconds
        return BOOKS


def test_what_is_counted_quickly_is_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Hours(monkeypatch, 0.05)
    held = HeldBooks(lambda: clock.now)
    client: Any = None
    assert held.count(client, "air", AT).books == BOOKS
    assert held.shown("air") is None


def test_counting_takes_a_twentieth_of_the_time_and_one_page_at_a_time_begins_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Hours(monkeypatch, 2.0)
    held = HeldBooks(lambda: clock.now)
    client: Any = None
    count = held.count(client, "air", AT)
    assert (held.shown("air"), held.shown("sea")) == (count, None)
    clock.now = count.counted + 40
    assert not held.due("air", count)
    clock.now += 1
    assert held.due("air", count)
    assert not held.due("air", count)
    held.count(client, "air", AT)
    clock.now += 41
    assert held.due("air", count)


def test_an_old_count_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Hours(monkeypatch, 2.0)
    held = HeldBooks(lambda: clock.now)
    client: Any = None
    count = held.count(client, "air", AT)
    clock.now = count.counted + LONGEST_SECONDS
    assert held.shown("air") == count
    clock.now += 1
    assert held.shown("air") is None
