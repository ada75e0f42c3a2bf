"""Which checkpoints end a fold: a function of the ledger, which its growth never changes; when folds are written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ledgers.checkpoints import Cut
from schemas.settings import Settings
from schemas.values.instants import SECOND
from stream_processors.rollup.folds import Folds, fold_ends
from stream_processors.rollup.roll_up import RollUp

HOUR = 3600 * SECOND


def cuts(*instants: int, backfills: frozenset[int] = frozenset()) -> list[Cut]:
    return [
        Cut(number, {}, 0, at, "n/m/1#1" if number in backfills else "") for number, at in enumerate(instants, start=1)
    ]


def test_the_last_of_each_hour_ends_one_once_the_next_hour_has_begun() -> None:
    assert list(fold_ends(cuts(0, 1, HOUR - 1))) == []
    assert list(fold_ends(cuts(0, 1, HOUR - 1, HOUR))) == [3]
    assert list(fold_ends(cuts(0, HOUR, 3 * HOUR, 3 * HOUR + 1))) == [1, 2]


def test_a_backfill_ends_one() -> None:
    assert list(fold_ends(cuts(0, 1, 2, 3, backfills=frozenset({2})))) == [2]


@given(
    st.lists(st.integers(0, 5 * HOUR), max_size=20).map(sorted), st.frozensets(st.integers(1, 20)), st.integers(0, 20)
)
def test_they_stay_as_the_ledger_grows(instants: list[int], backfills: frozenset[int], known: int) -> None:
    every = cuts(*instants, backfills=backfills)
    ends = list(fold_ends(every))
    early = list(fold_ends(every[:known]))
    assert early == [end for end in ends if end < min(known, len(every))]
    for after in range(len(every) + 1):
        assert list(fold_ends(every, after)) == [end for end in ends if end > after]


def roll_up(monkeypatch: pytest.MonkeyPatch, write: Callable[[Sequence[Cut], int], int]) -> RollUp:
    catalog: Any = None  # nothing is rolled up
    rollup = RollUp(Settings(), catalog, threading.Event(), lambda *_: None)
    monkeypatch.setattr(rollup._folds, "write", write)
    return rollup


def fold(rollup: RollUp, known: list[Cut]) -> None:
    rollup.done = len(known)
    rollup._begin_fold(known)
    if rollup._fold is not None:
        rollup._fold.result(10)


def test_a_fold_begins_at_the_start_and_once_an_hour_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def write(known: Sequence[Cut], rolled_up: int) -> int:
        written.append(rolled_up)
        return max(fold_ends(known), default=0)

    rollup = roll_up(monkeypatch, write)
    hours = cuts(0, 1, 2, HOUR, HOUR + 1, 2 * HOUR)
    for count in range(1, len(hours) + 1):
        fold(rollup, hours[:count])
    assert written == [1, 4, 6]


def test_a_fold_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def write(known: Sequence[Cut], rolled_up: int) -> int:
        tries.append(rolled_up)
        if len(tries) == 1:
            raise ValueError("of whatever kind")
        return 0

    rollup = roll_up(monkeypatch, write)
    for _ in range(3):
        fold(rollup, cuts(0, 1))
    assert tries == [2, 2]


class Store:
    """A ClickHouse in which the first ``rolled_up`` checkpoints are in windows; notes what it is told to do."""

    def __init__(self, rolled_up: int) -> None:
        self.rolled_up = rolled_up
        self.states = [(7, 0)]
        self.commands: list[tuple[str, str, dict[str, Any]]] = []

    def query(self, what: str, sql: str) -> list[tuple[int, int]]:
        return [self.states.pop(0) if len(self.states) > 1 else self.states[0]]

    def run(self, what: str, call: object) -> int:
        return self.rolled_up

    def command(self, what: str, sql: str, parameters: dict[str, Any]) -> None:
        self.commands.append((what, sql, parameters))


def test_what_a_restored_clickhouse_has_not_rolled_up_is_not_folded() -> None:
    """Its records are metered again first."""
    store: Any = Store(rolled_up=2)
    hours = cuts(0, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR)
    assert Folds(store).write(hours, 5) == 2
    assert [parameters["k"] for _, _, parameters in store.commands] == [1, 2]
    store.rolled_up = 5
    assert Folds(store).write(hours, 5) == 4


def test_an_epoch_deletes_folds_by_its_number() -> None:
    """Replicated tables refuse a deletion with a query in it. Those of the epoch before stay until the next one: a
    question may have learnt of it a moment ago."""
    store: Any = Store(rolled_up=0)
    Folds(store).begin_epoch()
    [deletion] = [(sql, parameters) for _, sql, parameters in store.commands if sql.startswith("DELETE")]
    assert deletion == ("DELETE FROM usage_window_folds WHERE epoch + 1 < {epoch:UInt32}", {"epoch": 7})


def test_an_epoch_that_begins_meanwhile_ends_the_folds_of_the_one_before() -> None:
    store: Any = Store(rolled_up=5)
    store.states = [(7, 0), (7, 0), (8, 0)]
    assert Folds(store).write(cuts(0, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR), 5) == 0
    assert [parameters["k"] for _, _, parameters in store.commands] == [1]


def test_what_another_worker_has_folded_meanwhile_is_not_folded_again() -> None:
    store: Any = Store(rolled_up=5)
    store.states = [(7, 0), (7, 0), (7, 3)]
    assert Folds(store).write(cuts(0, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR), 5) == 4
    assert [parameters["k"] for _, _, parameters in store.commands] == [1, 4]
