"""The fold of usage.invoices that webhooks go on from at a start, against the topic itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from rating.invoices.ledger import invoices_reader, log_id
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Scope
from rating.webhooks.intake import Intake
from rating.webhooks.notices import Notices
from rating.webhooks.stored_notices import CONTENTS, FILE, VERSION, StoredNotices

NAME: Final = "fold of webhooks"
_SAVED: Final = 50_000


def check_webhook_fold(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """The file has just what the log gives from its beginning up to the file's positions; of all namespaces. Nothing to
    check where there is none, or where it is of another version or log, and is made anew at the next start."""
    path = Path(scope.settings.snapshot_dir) / FILE
    if not scope.settings.snapshot_dir or not path.exists():
        return
    on_progress(NAME, 0, 1)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as database:
        database.execute("BEGIN")  # what is saved meanwhile is not seen
        about = dict(database.execute("SELECT name, value FROM about"))
        if about == {"version": str(VERSION), "log": log_id(scope.settings)}:
            positions = dict(database.execute("SELECT partition, next_offset FROM positions"))
            with closing(StoredNotices("", "")) as fresh:
                _fill(scope, fresh, positions)
                compare(database.execute(CONTENTS), fresh.contents(), str(path), findings)
    on_progress(NAME, 1, 1)


def _fill(scope: Scope, fresh: StoredNotices, positions: dict[int, int]) -> None:
    intake = Intake({}, Notices(fresh.valid, fresh.states))
    with invoices_reader(scope.settings) as reader:
        for lot in reader.lots_to(positions):
            intake.take(record for record in lot if record.offset < positions[record.partition])
            if fresh.unsaved > _SAVED:
                fresh.save({})
    fresh.save({})


def compare(
    actual: Iterator[tuple[Any, ...]], expected: Iterator[tuple[Any, ...]], path: str, findings: Findings
) -> None:
    """A finding for each entry (part, key, value), in order, that one has and the other has not, or has otherwise."""
    remedy = f"stop the webhooks, then delete {path}, {path}-wal and {path}-shm: a cache, made anew from the log"
    has, due = next(actual, None), next(expected, None)
    while has is not None or due is not None:
        if has == due:
            has, due = next(actual, None), next(expected, None)
            continue
        keys = [_key(entry) for entry in (has, due) if entry is not None]
        first = min(keys)
        has_it, due_it = (entry is not None and _key(entry) == first for entry in (has, due))
        findings.add(
            "webhook fold", f"{first[0]} of {first[1].decode()}", due[2] if due is not None and due_it else "no entry",
            has[2] if has is not None and has_it else "no entry", remedy,
        )  # fmt: skip
        has = next(actual, None) if has_it else has
        due = next(expected, None) if due_it else due


def _key(entry: tuple[Any, ...]) -> tuple[str, bytes]:
    return entry[0], entry[1].encode()
