"""Kafka's ledgers and ClickHouse in memory, as far as the trip of an invoice uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

from checkout import IS_OLD, module

APPENDED_US: Final = 1_767_225_600_000_000
TOPICS: Final[dict[str, list[bytes]]] = {}
"""Topic → values, all in partition 0."""
TABLES: Final[dict[str, list[dict[str, Any]]]] = {}
_ANSWERS: Final[dict[str, list[tuple[Any, ...]]]] = {
    "FROM usage_progress": [(1, 0, 1)],
    "groupBitmap(number) FROM usage_checkpoints": [(3, 3)],
    "FROM usage_checkpoints": [(1,), (2,), (3,)],
    "max(rank)": [(0,)],
    "count(DISTINCT": [(10**6,)],
    "DISTINCT account_id, profile_id FROM usage_records": [("acct-walked", "m.p")],
    "FROM usage_events": [],
    "FROM rejected_events": [],
}
"""Part of a query → its rows."""
_HEAD: Final = (
    "namespace", "invoice_id", "version", "predecessor", "subscription", "sequence", "account_id", "plan",
    "plan_version", "period_start", "period_end", "time_zone", "run_id", "checkpoint", "catalog_offset", "as_of",
    "state", "currency", "total", "body",
)  # fmt: skip
_LINE: Final = (
    "invoice_id", "version", "number", "kind", "charge", "product", "description", "profile_id", "profile_versions",
    "period_start", "period_end", "quantity", "events", "unit", "price", "amount", "unrounded", "steps", "note",
    "adjusts",
)  # fmt: skip


def settings() -> Any:
    """The settings of namespace ``air``."""
    return module("schemas.settings").Settings(namespace="air")


def append(topic: str, value: bytes) -> tuple[int, int]:
    """Append a record; returns its place."""
    values = TOPICS.setdefault(topic, [])
    values.append(value)
    return 0, len(values) - 1


def records(topic: str) -> list[Any]:
    """All records of a topic."""
    name = "schemas.ledger_io" if IS_OLD else "schemas.ledgers.ledger_reader"
    record = module(name).LogRecord
    return [record(0, offset, APPENDED_US, value) for offset, value in enumerate(TOPICS.get(topic, []))]


class LedgerReader:
    """Reads a topic of TOPICS."""

    def __init__(self, _settings: Any, topic: str, *_: Any, **__: Any) -> None:
        self.topic = topic
        self.positions = {0: 0}

    def __enter__(self) -> LedgerReader:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def seek(self, positions: Mapping[int, int]) -> None:
        self.positions.update(positions)

    def resume(self, places: Mapping[int, Any]) -> None:
        begins = {number: place if isinstance(place, int) else place.reading_from for number, place in places.items()}
        self.positions.update(begins)

    def places(self) -> dict[int, Any]:
        place = module("schemas.ledgers.log_place").LogPlace
        return {number: place(offset, offset) for number, offset in self.positions.items()}

    def pass_over(self, ends: Mapping[int, int], *_: Any) -> None:
        self.positions.update(ends)

    def resumable(self) -> dict[int, int]:
        return dict(self.positions)

    def end_offsets(self) -> dict[int, int]:
        return {0: len(TOPICS.get(self.topic, []))}

    def read_to(self, ends: Mapping[int, int], *_: Any, **__: Any) -> Iterator[Any]:
        while self.positions[0] < ends.get(0, 0):
            offset = self.positions[0]
            self.positions[0] = offset + 1
            yield records(self.topic)[offset]

    def lots_to(self, ends: Mapping[int, int], *_: Any, **__: Any) -> Iterator[list[Any]]:
        yield list(self.read_to(ends))


class LedgerWriter:
    """Appends to a topic of TOPICS."""

    def __init__(self, _settings: Any, topic: str, *_: Any, **__: Any) -> None:
        self.topic = topic

    def append(self, _key: bytes, value: bytes, _partition: int | None = None) -> tuple[int, int]:
        return append(self.topic, value)

    def append_all(
        self,
        pairs: Sequence[tuple[bytes, bytes]],
        _partition: int | None = None,
        append_times: dict[tuple[int, int], int] | None = None,
    ) -> list[tuple[int, int]]:
        placed = [append(self.topic, value) for _, value in pairs]
        if append_times is not None:
            append_times.update(dict.fromkeys(placed, 0))
        return placed


class Journal:
    """What the worker asks ClickHouse, which has nothing, and writes."""

    def query(self, what: str, *_: Any, **__: Any) -> list[tuple[int]]:
        return [(0,)] if what.startswith("count") else []

    def insert(self, table: str, rows: Any) -> None:
        TABLES.setdefault(table, []).extend(rows.to_pylist())


class Client:
    """Answers what a close and webhooks ask ClickHouse."""

    def insert_arrow(self, table: str, rows: Any) -> None:
        TABLES.setdefault(table, []).extend(rows.to_pylist())

    def close(self) -> None:
        pass

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, **_: Any) -> Any:
        """The rows of a query, by what is in it. Raises LookupError for one that no trip makes."""
        text = " ".join(sql.split())
        return SimpleNamespace(result_rows=self._rows(text, str(parameters)))

    def _rows(self, text: str, parameters: str) -> list[tuple[Any, ...]]:
        for part, rows in _ANSWERS.items():
            if part in text:
                return rows
        if "toString(total) AS total_text" in text:
            return [tuple(_shown(row[name]) for name in _HEAD) for row in TABLES["invoices"]]
        if "FROM invoice_lines" in text and "toString(amount)" in text:
            return [tuple(_shown(row[name]) for name in _LINE) for row in TABLES["invoice_lines"]]
        if "FROM invoice_numbers" in text:
            return [(row["invoice_id"], row["number"]) for row in TABLES["invoice_numbers"]]
        if "acct-walked" in parameters or ("account" in text and ("usage_records" in text or "usage_windows" in text)):
            return [("acct-walked", "12", "3")]
        raise LookupError(f"a query that the trip does not know: {text[:400]}")


def _shown(value: Any) -> Any:
    """A column's value as the queries of invoices ask for it: instants in microseconds, decimals as text."""
    if isinstance(value, datetime):
        return int(value.timestamp() * 1_000_000 + 0.5)
    return value if isinstance(value, (str, int, list)) or value is None else str(value)


def put_in_place() -> None:
    """Replace Kafka's reader and writer, and what looks at Kafka or ClickHouse for a close's own state."""
    if IS_OLD:
        ledgers = module("schemas.ledger_io")
        ledgers.LedgerReader, ledgers.LedgerWriter = LedgerReader, LedgerWriter
        module("rating.close.seen").waiting = lambda *_: 0
    else:
        module("schemas.ledgers.ledger_reader").LedgerReader = LedgerReader
        module("schemas.ledgers.ledger_writer").LedgerWriter = LedgerWriter
        module("rating.close.checklist.observe").waiting = lambda *_: 0
        module("rating.close.complete_rows").require_complete = lambda *_, **__: None
    module("schemas.usage_log.generation_change").end_offsets = lambda *_: {(1, 0): 1}
