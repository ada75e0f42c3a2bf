"""The snapshot of usage.invoices, which closes and payments begin from, against the topic itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from rating.invoices.ledger import invoices_reader, snapshot_folder
from rating.invoices.snapshot.followed_log import FollowedLog
from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoices.snapshot.snapshot_folder import snapshot_file, succeed
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.invoices.side_by_side import aligned
from rating.verify.invoices.topic_fold import TopicFold
from rating.verify.scope import Scope
from schemas.ledgers.folds.fold_file import is_damage
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.log_place import BEGINNING

NAME: Final = "snapshot of invoices"
_KEY: Final = 3
"""So many values at the beginning of a row tell what it is of."""


def check_snapshot(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """The settings' snapshot, brought up to the log's end, has just what the log gives from its beginning; of all
    namespaces, since they share it. Nothing to check where there is none."""
    folder = snapshot_folder(scope.settings)
    if folder is None:
        return
    log = log_id(scope.settings)
    path = snapshot_file(folder, log)
    if not path.exists():
        return
    on_progress(NAME, 0, 1)
    with invoices_reader(scope.settings) as reader:
        try:
            with closing(InvoiceStore(str(path), log)) as snapshot:
                _compared(scope, snapshot, log, reader, findings)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            following = succeed(path, log, error)
            remedy = f"nothing: {following} is made anew from the log at its next use"
            findings.add("invoice snapshot", str(path), "a file that can be read", str(error), remedy)
    on_progress(NAME, 1, 1)


def _compared(scope: Scope, snapshot: InvoiceStore, log: str, reader: LedgerReader, findings: Findings) -> None:
    snapshot.follow_to_end(reader)
    with snapshot.as_it_stands() as positions:
        topic = TopicFold.of(scope)
        topic.follow(positions)
        if topic.store.positions() == positions:
            compare(snapshot, topic.store, snapshot.path, findings)
            return
        with closing(InvoiceStore("", log)) as fresh:  # what was read before is ahead of the snapshot
            fill(fresh, reader, positions)
            compare(snapshot, fresh, snapshot.path, findings)


def fill(fresh: InvoiceStore, reader: FollowedLog, positions: Mapping[int, int]) -> None:
    """Apply all records of the log below ``positions`` to an empty store. Raises LedgerUnavailable."""
    reader.resume(dict.fromkeys(reader.positions, BEGINNING))
    for lot in reader.lots_to(positions):
        fresh.apply((record for record in lot if record.offset < positions.get(record.partition, 0)), {}, {})


def compare(snapshot: InvoiceStore, fresh: InvoiceStore, path: str, findings: Findings) -> None:
    """A finding for each row that one has and the other has not, or has otherwise."""
    remedy = f"stop the rating service, then delete {path}, {path}-wal and {path}-shm: a cache, made anew from the log"
    with closing(snapshot.contents()) as actual_rows, closing(fresh.contents()) as expected_rows:
        for has, due in aligned(actual_rows, expected_rows, _order, _order):
            if has != due:
                key = next(row[:_KEY] for row in (has, due) if row is not None)
                location = " ".join(part.decode() if isinstance(part, bytes) else str(part) for part in key if part)
                findings.add("invoice snapshot", location, _shown(due), _shown(has), remedy)


_ORDER: Final = ("invoice", "chain", "fact")


def _order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (_ORDER.index(row[0]), *row[1:_KEY])


def _shown(row: tuple[Any, ...] | None) -> str:
    if row is None:
        return "no row"
    values: Iterator[str] = (f"{len(value)} bytes" if isinstance(value, bytes) else str(value) for value in row[_KEY:])
    return f"({', '.join(values)})"
