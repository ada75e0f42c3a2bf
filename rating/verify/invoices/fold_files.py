"""The folds of usage.invoices that webhooks and workers go on from at a start, against the topic itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rating.invoices.ledger import invoices_reader
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.invoices.side_by_side import aligned
from rating.verify.scope import Scope
from schemas.ledgers.folds.fold_file import identity, identity_of
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.folds.stored_fold import CONTENTS, COPIES, VERSION, WEBHOOKS, StoredFold, stored_in
from schemas.ledgers.folds.stored_places import read_positions
from schemas.ledgers.ledger_reader import LedgerReader

NAME: Final = "folds of invoices"
_SAVED: Final = 50_000


def check_folds(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each file has just what the log gives from its beginning up to the file's positions; of all namespaces. Nothing
    to check where there is none, or where it is of another version or log or ahead of the log, and is made anew at the
    next start."""
    folder = scope.settings.snapshot_dir
    files = [path for name in (WEBHOOKS, COPIES) if folder and (path := Path(folder) / name).exists()]
    checks = {str(path): partial(_check, scope, path, findings) for path in files}
    for damaged, error in damaged_files(NAME, checks, on_progress):
        findings.add("fold of invoices", damaged, "a file that can be read", error, _remedy(damaged))


def damaged_files(
    name: str, checks: Mapping[str, Callable[[], None]], on_progress: VerifyProgress
) -> Iterator[tuple[str, str]]:
    """Run the checks of files, by path; (path, why) of each that cannot be read. Raises sqlite3.OperationalError, which
    is no damage. ``name``: of the progress."""
    for done, (path, check) in enumerate(checks.items()):
        on_progress(name, done, len(checks))
        try:
            check()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            yield path, str(error)
    on_progress(name, len(checks), len(checks))


def _check(scope: Scope, path: Path, findings: Findings) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as database:
        database.execute("BEGIN")  # what is saved meanwhile is not seen
        if identity_of(database) != identity(VERSION, log_id(scope.settings)):
            return
        positions = read_positions(database)
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
    for has, due in aligned(actual, expected, _key, _key):
        if has != due:
            part, key = next(entry[:2] for entry in (has, due) if entry is not None)
            findings.add("fold of invoices", f"{part} of {key}", _shown(due), _shown(has), remedy)


def _shown(entry: tuple[Any, ...] | None) -> Any:
    return "no entry" if entry is None else entry[2]


def _remedy(path: str) -> str:
    return remedy_of(path, "the webhooks' process or the workers")


def remedy_of(path: str, users: str) -> str:
    """What to do about a file that is not as its log; ``users``: the processes that have it open."""
    files = f"{path}, {path}-wal and {path}-shm"
    return f"stop {users}, then delete {files}: a cache, made anew from the log"


def _key(entry: tuple[Any, ...]) -> tuple[str, bytes]:
    return entry[0], entry[1].encode()
