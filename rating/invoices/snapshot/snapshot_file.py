"""The snapshot's file: its tables."""

from __future__ import annotations

import sqlite3
from typing import Final

from schemas.ledgers.folds.fold_file import identity, make_anew, open_fold_file
from schemas.ledgers.folds.stored_places import POSITIONS_TABLE

VERSION: Final = 5
"""Of the tables, of ``Invoice``, and of ``is_quiet``: raise it with each."""
_WAIT_SECONDS: Final = 60.0
_TABLES: Final = f"""{POSITIONS_TABLE}
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


def open_snapshot(path: str, log_id: str) -> sqlite3.Connection:
    """The file at ``path`` ("": a temporary one of this connection's own); what it has of another version or log is
    dropped. Raises sqlite3.DatabaseError, OSError."""
    return open_fold_file(path, identity(VERSION, log_id), _TABLES, timeout=_WAIT_SECONDS)


def make_snapshot_anew(database: sqlite3.Connection, log_id: str) -> None:
    """Drop all that it has. Within a transaction."""
    make_anew(database, identity(VERSION, log_id), _TABLES)
