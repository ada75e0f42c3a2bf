"""A file of SQLite that keeps a fold of a ledger: how it is opened, and made anew if it is of another version or log.

It holds all tenants' invoices, so its owner alone may read it. What becomes of a damaged one, and who else may have it
open, is the matter of what keeps it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

log = logging.getLogger(__name__)

_ABOUT: Final = "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


class DamagedFile(sqlite3.DatabaseError):
    """A value that the file cannot have been given."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged: nothing helps but to make it anew. Else the disk may be full, or another process at
    the file."""
    code = getattr(error, "sqlite_errorcode", None)
    # SQLITE_ERROR: a table is not there.
    return code is not None and code & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


def identity(version: int, log_id: str) -> dict[str, str]:
    """What a file is of: the version of its tables, and the log."""
    return {"version": str(version), "log": log_id}


def open_fold_file(
    path: str, about: Mapping[str, str], tables: str, *, unnamed: str = "", timeout: float = 5.0
) -> sqlite3.Connection:
    """The file at ``path``; what it has of another version or log than ``about`` (``identity``) is dropped. ``tables``:
    the statements that make it. ``unnamed``: what SQLite calls the database if ``path`` is "". ``timeout``: seconds to
    wait for another process. Raises sqlite3.DatabaseError, OSError."""
    if path:
        # Only where it is new: closing a file that this process has open elsewhere would end SQLite's locks on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    database = sqlite3.connect(path or unnamed, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA cache_size = -16384")
        with transaction(database):
            former = identity_of(database) if "about" in _tables(database) else {}
            if former and former != about:
                log.warning("%s is of another version or log, and is made anew: %s", path, former)
            if former != about:
                make_anew(database, about, tables)
    except BaseException:
        database.close()
        raise
    return database


def identity_of(database: sqlite3.Connection) -> dict[str, str]:
    """What the file says that it is of."""
    return dict(database.execute("SELECT name, value FROM about"))


def make_anew(database: sqlite3.Connection, about: Mapping[str, str], tables: str) -> None:
    """Drop all that it has. Within a transaction."""
    for name in _tables(database):  # which another version may have had otherwise
        database.execute(f"DROP TABLE {name}")
    for statement in (_ABOUT, *tables.split(";")):
        database.execute(statement)
    database.executemany("INSERT INTO about VALUES (?, ?)", about.items())


def _tables(database: sqlite3.Connection) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing of what the block writes; nobody else writes meanwhile."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:  # a full disk, for one, has ended it
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
