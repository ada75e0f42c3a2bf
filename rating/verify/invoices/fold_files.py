"""The folds of usage.invoices that webhooks and workers go on from at a start, against the topic itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rating.invoices.ledger import invoices_reader
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Scope
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.folds.stored_fold import CONTENTS, COPIES, VERSION, WEBHOOKS, StoredFold, stored_in
from schemas.ledgers.ledger_reader import LedgerReader

NAME: Final = "folds of invoices"
_SAVED: Final = 50_000


def check_folds(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each file has just what the log gives from its beginning up to the file's positions; of all namespaces. Nothing
    to check where there is none, or where it is of another version or log or ahead of the log, and is made anew at the
    next start."""
    folder = scope.settings.snapshot_dir
    files = [path for name in (WEBHOOKS, COPIES) if folder and (path := Path(folder) / name).exists()]
    for done, path in enumerate(files):
        on_progress(NAME, done, len(files))
        try:
            _check(scope, path, findings)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            findings.add("fold of invoices", str(path), "a file that can be read", str(error), _remedy(str(path)))
    on_progress(NAME, len(files), len(files))


def _check(scope: Scope, path: Path, findings: Findings) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as database:
        database.execute("BEGIN")  # what is saved meanwhile is not seen
        about = dict(database.execute("SELECT name, value FROM about"))
        if about != {"version": str(VERSION), "log": log_id(scope.settings)}:
            return
        positions = dict(database.execute("SELECT partition, next_offset FROM positions"))
        with invoices_reader(scope.settings) as reader:
            ends = reader.end_offsets()
            if any(at > ends.get(number, 0) for number, at in positions.items()):
                return
            with TemporaryDirectory(prefix="weir-fold-") as folder, closing(stored_in(folder, path.name, "")) as fresh:
                _fill(reader, fresh, positions, states=path.name == WEBHOOKS)
                compare(database.execute(CONTENTS), fresh.contents(), str(path), findings)


def _fill(reader: LedgerReader, fresh: StoredFold, positions: dict[int, int], *, states: bool) -> None:
    for lot in reader.lots_to(positions):
        for record in lot:
            if record.offset >= positions.get(record.partition, 0):
                continue
            invoice = fresh.valid.offer_bytes(record.value)
            if states and invoice is not None:
                fresh.states[invoice.invoice_id] = invoice.state
        if fresh.unsaved > _SAVED:
            fresh.save({})
    fresh.save({})


def compare(
    actual: Iterator[tuple[Any, ...]], expected: Iterator[tuple[Any, ...]], path: str, findings: Findings
) -> None:
    """A finding for each entry (part, key, value), in order, that one has and the other has not, or has otherwise."""
    remedy = _remedy(path)
    has, due = next(actual, None), next(expected, None)
    while has is not None or due is not None:
        if has == due:
            has, due = next(actual, None), next(expected, None)
            continue
        keys = [_key(entry) for entry in (has, due) if entry is not None]
        first = min(keys)
        has_it, due_it = (entry is not None and _key(entry) == first for entry in (has, due))
        expected_text = due[2] if due is not None and due_it else "no entry"
        actual_text = has[2] if has is not None and has_it else "no entry"
        findings.add("fold of invoices", f"{first[0]} of {first[1].decode()}", expected_text, actual_text, remedy)
        has = next(actual, None) if has_it else has
        due = next(expected, None) if due_it else due


def _remedy(path: str) -> str:
    files = f"{path}, {path}-wal and {path}-shm"
    return f"stop the webhooks' process or the workers, then delete {files}: a cache, made anew from the log"


def _key(entry: tuple[Any, ...]) -> tuple[str, bytes]:
    return entry[0], entry[1].encode()
