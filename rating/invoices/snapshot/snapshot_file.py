"""The snapshot's file: its tables, and when it is made anew. It holds all tenants' invoices, so its owner alone may
read it."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

log = logging.getLogger(__name__)

VERSION: Final = 4
"""Of the tables and of ``is_quiet``: raise it with either."""
_TABLES: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, begin INTEGER NOT NULL,
    last_offset INTEGER, last_append_us INTEGER, last_checksum INTEGER);
CREATE TABLE facts (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE invoices (place INTEGER PRIMARY KEY, namespace TEXT, subscription TEXT, account TEXT, invoice_id TEXT,
    draft INTEGER, open INTEGER, version INTEGER, quiet INTEGER, record BLOB, checksum INTEGER,
    UNIQUE (namespace, invoice_id, draft));
CREATE INDEX of_chain ON invoices (namespace, subscription, place) WHERE draft = 0;
CREATE INDEX not_quiet ON invoices (namespace, subscription) WHERE draft = 0 AND quiet = 0;
CREATE INDEX of_account ON invoices (namespace, account, subscription) WHERE draft = 0;
CREATE INDEX drafts ON invoices (namespace, open, version) WHERE draft = 1;
CREATE TABLE chains (namespace TEXT, subscription TEXT, last INTEGER, head BLOB, run BLOB, notes BLOB,
    PRIMARY KEY (namespace, subscription)) WITHOUT ROWID;
"""


class DamagedSnapshot(sqlite3.DatabaseError):
    """A row that the snapshot cannot have written."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged: nothing helps but to make it anew. Else the disk may be full, or another process at
    the file."""
    code = getattr(error, "sqlite_errorcode", None)
    # SQLITE_ERROR: a table is not there.
    return code is not None and code & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


def open_snapshot(path: str, log_id: str) -> sqlite3.Connection:
    """The file at ``path`` ("": a temporary one of this connection's own); what it has of another version or log is
    dropped. Raises sqlite3.DatabaseError."""
    if path:
        # Only where it is new: closing a file that this process has open elsewhere would end SQLite's locks on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    database = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA cache_size = -16384")
        with transaction(database):
            about = dict(database.execute("SELECT name, value FROM about")) if "about" in _tables(database) else {}
            if about and about != _about(log_id):
                log.warning("%s is of another version or log, and is made anew: %s", path, about)
            if about != _about(log_id):
                make_anew(database, log_id)
    except BaseException:
        database.close()
        raise
    return database


def make_anew(database: sqlite3.Connection, log_id: str) -> None:
    """Drop all that it has. Within a transaction."""
    for name in _tables(database):
        database.execute(f"DROP TABLE {name}")
    for statement in _TABLES.split(";"):
        database.execute(statement)
    database.executemany("INSERT INTO about VALUES (?, ?)", _about(log_id).items())


def _about(log_id: str) -> dict[str, str]:
    return {"version": str(VERSION), "log": log_id}


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
