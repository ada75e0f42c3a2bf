"""Numbers of invoices in ClickHouse: a start reads them one by one only where some are missing."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.invoice_numbers import Numbered
from stream_processors.metering.journal import Journal
from stream_processors.projections.copy_numbers import copy_numbers


class Numbers:
    """What the topic gave: ``count`` numbers in the namespace air."""

    def __init__(self, count: int) -> None:
        self._given = [Numbered(f"inv_{rank}", rank, f"N-{rank}") for rank in range(1, count + 1)]

    def namespaces(self) -> list[str]:
        return ["air"] if self._given else []

    def given(self, namespace: str) -> list[Numbered]:
        return self._given


class Shown:
    """A ClickHouse that shows the numbers of these ranks."""

    def __init__(self, ranks: Sequence[int]) -> None:
        self.rows = {f"inv_{rank}": (rank, f"N-{rank}") for rank in ranks}
        self.read: list[str] = []
        self.inserted: list[int] = []

    def query(self, what: str, sql: str, parameters: Any = None) -> list[Sequence[Any]]:
        self.read.append(what)
        if "credit_note" in sql:
            return []
        if what.startswith("count"):
            ranks = [rank for rank, _ in self.rows.values()]
            return [("air", len(set(ranks)), max(ranks))] if ranks else []
        return [(name, rank, text) for name, (rank, text) in self.rows.items()]

    def insert(self, table: str, rows: Any) -> None:
        self.inserted += [row["rank"] for row in rows.to_pylist()]

    def command(self, what: str, sql: str, parameters: Any) -> None:
        for name in parameters["names"]:
            del self.rows[name]


def copied(shown: Shown, given: int, *, again: bool = False) -> int:
    checkpoints = SimpleNamespace(numbers=Numbers(given), note_numbers=Numbers(0))
    return copy_numbers(cast(Journal, cast(Any, shown)), cast(Checkpoints, checkpoints), again=again)


@pytest.mark.parametrize(
    ("ranks", "missing", "compared"),
    [
        ([1, 2, 3, 4, 5], [], False),
        ([1, 2, 3], [4, 5], False),
        ([], [1, 2, 3, 4, 5], True),
        ([1, 2, 4, 5], [3], True),
        ([1, 2, 3, 4, 5, 6], [], True),
    ],
    ids=["all", "the last", "all missing", "one between", "more than were given"],
)
def test_what_is_missing_is_inserted(ranks: list[int], missing: list[int], compared: bool) -> None:
    shown = Shown(ranks)
    assert copied(shown, 5) == len(missing)
    assert shown.inserted == missing
    assert ("read invoice_numbers" in shown.read) == compared


def test_again_inserts_all_and_deletes_what_was_never_given() -> None:
    shown = Shown([1, 2, 7])
    assert copied(shown, 3, again=True) == 3
    assert (shown.inserted, sorted(shown.rows)) == ([1, 2, 3], ["inv_1", "inv_2"])
