"""The snapshot of usage.invoices, which closes and payments begin from, against the topic itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from rating.invoices.ledger import invoices_reader, log_id, snapshot_path
from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Scope
from schemas.ledgers.ledger_reader import LedgerReader

NAME: Final = "snapshot of invoices"
_KEY: Final = 3
"""So many values at the beginning of a row tell what it is of."""


def check_snapshot(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """The settings' snapshot, brought up to the log's end, has just what the log gives from its beginning; of all
    namespaces, since they share it. Nothing to check where there is none."""
    path = snapshot_path(scope.settings)
    if not path or not Path(path).exists():
        return
    on_progress(NAME, 0, 1)
    log = log_id(scope.settings)
    with closing(InvoiceStore(path, log)) as snapshot, invoices_reader(scope.settings) as reader:
        snapshot.follow_to_end(reader)
        with snapshot.as_it_stands() as positions, closing(InvoiceStore("", log)) as fresh:
            # Of a record that is being written in pieces the snapshot has those before it, and says that it has not.
            if all(positions.get(number, 0) >= at for number, at in reader.positions.items()):
                fill(fresh, reader, positions)
                compare(snapshot, fresh, path, findings)
    on_progress(NAME, 1, 1)


def fill(fresh: InvoiceStore, reader: LedgerReader, positions: Mapping[int, int]) -> None:
    """Apply all records of the log below ``positions`` to an empty store. Raises LedgerUnavailable."""
    reader.seek(dict.fromkeys(reader.positions, 0))
    for lot in reader.lots_to(positions):
        fresh.apply((record for record in lot if record.offset < positions.get(record.partition, 0)), {}, {})


def compare(snapshot: InvoiceStore, fresh: InvoiceStore, path: str, findings: Findings) -> None:
    """A finding for each row that one has and the other has not, or has otherwise."""
    remedy = f"stop the rating service, then delete {path}, {path}-wal and {path}-shm: a cache, made anew from the log"
    actual_rows, expected_rows = snapshot.contents(), fresh.contents()
    actual, expected = next(actual_rows, None), next(expected_rows, None)
    while actual is not None or expected is not None:
        keys = [row[:_KEY] for row in (actual, expected) if row is not None]
        first = min(keys, key=_order)
        has, due = (row if row is not None and row[:_KEY] == first else None for row in (actual, expected))
        if has != due:
            place = " ".join(part.decode() if isinstance(part, bytes) else str(part) for part in first if part)
            findings.add("invoice snapshot", place, _shown(due), _shown(has), remedy)
        actual = next(actual_rows, None) if has is not None else actual
        expected = next(expected_rows, None) if due is not None else expected


_ORDER: Final = ("invoice", "chain", "fact")


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return (_ORDER.index(key[0]), *key[1:])


def _shown(row: tuple[Any, ...] | None) -> str:
    if row is None:
        return "no row"
    values: Iterator[str] = (f"{len(value)} bytes" if isinstance(value, bytes) else str(value) for value in row[_KEY:])
    return f"({', '.join(values)})"
