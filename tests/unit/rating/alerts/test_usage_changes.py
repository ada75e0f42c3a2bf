"""Whose usage changed: one namespace's failing question holds up no other, and a restart goes on where all was looked
at."""

from __future__ import annotations

from typing import Any

import pytest

from rating.alerts import usage_changes
from rating.alerts.usage_changes import UsageChanges
from tests.unit.rating.alerts.builders import NO_CLIENT


class Store:
    """What ClickHouse has: the workers' cursor, what was evaluated, and which namespace's question fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cursor = {(1, 0): 10}
        self.evaluated: dict[tuple[int, int], int] = {}
        self.failing = ""
        self.asked: list[tuple[str, int, int]] = []
        for name in (
            "read_progress", "progress_at", "evaluated_offsets", "write_evaluated", "changed_namespaces",
            "changed_accounts",
        ):  # fmt: skip
            monkeypatch.setattr(usage_changes, name, getattr(self, name))

    def read_progress(self, client: Any) -> dict[tuple[int, int], int]:
        return dict(self.cursor)

    def progress_at(self, client: Any, instant_us: int) -> dict[tuple[int, int], int]:
        return {place: min(end, instant_us or end) for place, end in self.cursor.items()}

    def evaluated_offsets(self, client: Any) -> dict[tuple[int, int], int]:
        return self.evaluated

    def write_evaluated(self, client: Any, offsets: dict[tuple[int, int], int]) -> None:
        self.evaluated = offsets

    def changed_namespaces(self, client: Any, ranges: list[Any]) -> dict[str, int]:
        return {"bad": 1, "good": 1, "unruled": 1} if ranges else {}

    def changed_accounts(self, client: Any, namespace: str, ranges: list[Any], appended_ms: int) -> dict[str, int]:
        if namespace == self.failing:
            raise RuntimeError("Code: 241. memory limit")
        [only] = ranges
        self.asked.append((namespace, only.start, only.end))
        return {"acme": only.start}


def test_one_namespaces_failing_question_is_asked_again_for_all_that_it_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(monkeypatch)
    changes = UsageChanges(NO_CLIENT, 0)
    ruled = {"bad", "good"}
    assert changes.read(ruled, 0.0) == {}
    store.cursor, store.failing = {(1, 0): 20}, "bad"
    assert changes.read(ruled, 1.0) == {"good": {"acme": 10}}
    changes.evaluated(20.0)
    assert store.evaluated == {}, "something is not looked at yet"
    store.cursor, store.failing = {(1, 0): 30}, ""
    assert changes.read(ruled, 2.0) == {"good": {"acme": 20}}, "bad waits"
    assert changes.read(ruled, 3.0) == {"bad": {"acme": 10}}
    assert store.asked[-1] == ("bad", 10, 30)
    changes.evaluated(20.0)
    assert store.evaluated == {(1, 0): 30}


def test_a_process_that_was_away_looks_at_all_that_came_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)
    store.evaluated, store.cursor = {(1, 0): 4}, {(1, 0): 10}
    assert UsageChanges(NO_CLIENT, 0).read({"good"}, 0.0) == {"good": {"acme": 4}}


def test_what_was_read_before_clickhouse_went_away_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)
    changes = UsageChanges(NO_CLIENT, 0)
    store.cursor, store.failing = {(1, 0): 20}, "bad"
    assert changes.read({"bad"}, 0.0) == {}
    store.cursor = {(1, 0): 30}
    store.failing = "good"

    def gone(client: Any) -> dict[tuple[int, int], int]:
        if store.asked:
            raise ConnectionError("ClickHouse is away")
        return {(1, 0): 30}

    monkeypatch.setattr(usage_changes, "read_progress", gone)
    with pytest.raises(ConnectionError):
        changes.read({"bad", "good"}, 5.0)
    store.asked, store.failing = [], ""
    assert changes.read({"bad", "good"}, 9.0) == {"bad": {"acme": 10}, "good": {"acme": 10}}


def test_the_first_process_looks_at_all_that_came_since_the_first_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    Store(monkeypatch)
    assert UsageChanges(NO_CLIENT, 7).read({"good"}, 0.0) == {"good": {"acme": 7}}


def test_usage_that_is_known_before_its_namespaces_first_rule_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)
    changes = UsageChanges(NO_CLIENT, 0)
    for now, cursor in ((0.0, 20), (50.0, 30), (90.0, 40)):
        store.cursor = {(1, 0): cursor}
        assert changes.read({"good"}, now)["good"] == {"acme": cursor - 10}
    assert changes.read({"good", "unruled"}, 100.0) == {"unruled": {"acme": 30}}, "of the last half minutes"
    assert changes.read({"good", "unruled"}, 101.0) == {}
