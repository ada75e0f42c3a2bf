"""What a stack says: its tables row by row and its answers, and how two such snapshots differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.upgrade.history import ACCOUNTS, METRICS, MONTHS
from tests.upgrade.release import Services

Row = tuple[str, ...]
GROW: Final = frozenset(
    {"schema_migrations", "usage_checkpoints", "usage_windows", "usage_window_folds", "usage_folds", "usage_progress"}
)
"""Tables that get rows while a stack only runs: cuts, roll-ups of what was not rolled up yet, and folds."""
NOTES: Final = frozenset({"webhook_progress", "copy_progress"})
"""Tables of marks that a process writes when it starts or goes on: they are left out."""
DROPPED: Final = {
    "usage_events": {"match_profile_versions", "match_quantities", "match_unique_values", "match_dimensions"}
}
"""Columns that a later release no longer has, since another table says the same (migration 035)."""
VOLATILE: Final = frozenset({"at"})
"""Fields that say when the question was asked."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's rows, whole, in the columns that are named."""

    columns: tuple[str, ...]
    rows: frozenset[Row]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``tables`` by name; ``answers`` of the rating service by path."""

    tables: Mapping[str, Table]
    answers: Mapping[str, Any]


def snapshot(stack: Services, like: Snapshot | None = None) -> Snapshot:
    """Everything a stack has and says. ``like``: of its tables, columns and paths alone."""
    return Snapshot(dict(_tables(stack, like)), dict(_answers(stack, like)))


def _tables(stack: Services, like: Snapshot | None) -> Iterator[tuple[str, Table]]:
    described: dict[str, dict[str, str]] = {}
    for table, column, kind in stack.rows(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN (SELECT name FROM"
        " system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree') ORDER BY table, position"
    ):
        described.setdefault(table, {})[column] = kind
    for table, kinds in described.items():
        if table in NOTES or (like is not None and table not in like.tables):
            continue
        dropped = DROPPED.get(table, set())
        columns = like.tables[table].columns if like else tuple(name for name in kinds if name not in dropped)
        asked = (
            f"hex(finalizeAggregation(`{column}`))" if kinds[column].startswith("AggregateFunction") else f"`{column}`"
            for column in columns
        )
        rows = stack.rows(f"SELECT {', '.join(asked)} FROM `{table}` FINAL")
        yield table, Table(columns, frozenset(map(tuple, rows)))


def _answers(stack: Services, like: Snapshot | None) -> Iterator[tuple[str, Any]]:
    for path in _paths(stack) if like is None else like.answers:
        yield path, stack.get(path)


def _paths(stack: Services) -> Iterator[str]:
    for path in ("invoices?limit=500", "credit-notes?limit=100", "runs", "voided-events", "backfills", "ledger"):
        yield f"/v1/{path}"
    yield "/v1/reports/late-usage"
    yield from (f"/v1/accounts/{account}/credits" for account in ACCOUNTS)
    for metric in METRICS:
        for month in MONTHS:
            yield f"/v1/usage?metric={metric}&from={month}&group_by=account"
            yield f"/v1/usage?metric={metric}&from={month}&group_by=day"
    for state in ("", "&state=draft"):
        for head in stack.get(f"/v1/invoices?limit=500{state}")["invoices"]:
            invoice = stack.get(f"/v1/invoices/{head['invoice_id']}")
            yield f"/v1/invoices/{head['invoice_id']}"
            for line in invoice["lines"]:
                yield f"/v1/invoices/{head['invoice_id']}/lines/{line['number']}/explain"


def differences(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """What is gone, what is new where nothing may come, and which fields of an answer say something else."""
    for name, table in before.tables.items():
        now = after.tables.get(name)
        if now is None:
            yield f"table {name} is gone"
            continue
        gone, come = table.rows - now.rows, now.rows - table.rows
        if gone:
            yield f"{name}: {len(gone)} of {len(table.rows)} rows are gone, for example {_shown(sorted(gone)[0])}"
        if come and (gone or name not in GROW):
            yield f"{name}: {len(come)} rows are new, for example {_shown(sorted(come)[0])}"
    for path, answer in before.answers.items():
        for place, was, is_now in changed(answer, after.answers[path]):
            yield f"GET {path}: {place} was {_shown(was)}, is {_shown(is_now)}"


def changed(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Places of one JSON value that another one has not, or has otherwise. Fields that are only in the other are new,
    and no change."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name not in after:
                yield f"{place}.{name}", value, "missing"
            elif name not in VOLATILE:
                yield from changed(value, after[name], f"{place}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (was, is_now) in enumerate(zip(before, after, strict=True)):
            yield from changed(was, is_now, f"{place}[{number}]")
    elif before != after:
        yield place, before, after


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
