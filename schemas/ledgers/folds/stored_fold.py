"""Which records of usage.invoices are valid, in a file: the state of all claims, so that a start of the webhooks'
process or of a worker reads what is new of the log alone.

A cache, never a second truth: it is made anew from the log where it is absent, of another version or log, damaged, or
where the log has another record at its last place, and `weir verify` compares it with the log. It never holds a record
that is not known to be dealt with by whoever keeps it (queued, copied), of which there is a mark in ClickHouse: what
the mark does not cover is judged again. One process at a time has a file; another one folds the log in memory.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.errors import WeirError
from schemas.ledgers.first_valid import FirstValid
from schemas.ledgers.folds.fold_file import DamagedFile, identity, is_damage, make_anew, open_fold_file, transaction
from schemas.ledgers.folds.stored_places import POSITIONS_TABLE, read_places, read_positions, write_places
from schemas.ledgers.invoice_claims import ValidInvoices
from schemas.ledgers.ledger_reader import LogRecord
from schemas.ledgers.log_place import BEGINNING, LogPlace

log = logging.getLogger(__name__)

VERSION: Final = 3
_TABLES: Final = f"""{POSITIONS_TABLE}
CREATE TABLE fold (part TEXT, key BLOB, value BLOB, PRIMARY KEY (part, key)) WITHOUT ROWID;
"""

CONTENTS: Final = "SELECT part, CAST(key AS TEXT), CAST(value AS TEXT) FROM fold ORDER BY part, key"
WEBHOOKS: Final = "webhooks.sqlite"
COPIES: Final = "copies.sqlite"
"""In the folder of snapshots: what webhooks and what workers go on from."""
ABSENT: Final = object()


class FoldElsewhere(WeirError):
    """Another process has the file."""


class StoredClaimState(ABC):
    """A part of the state of the claims (``first_valid.ClaimState``): what a file has, looked up when it is asked for,
    so that going on from a long log costs what is new, and what came since. ``changed``: what the file does not have
    yet."""

    def __init__(self) -> None:
        self.changed: dict[Hashable, Any] = {}

    @abstractmethod
    def stored(self, key: Hashable) -> Any:
        """The value in the file; ABSENT if there is none."""

    def get(self, key: Hashable, otherwise: Any = None, /) -> Any:
        """The value of a key, or ``otherwise``."""
        value = self.changed[key] if key in self.changed else self.stored(key)
        return otherwise if value is ABSENT else value

    def __contains__(self, key: Hashable, /) -> bool:
        return self.get(key, ABSENT) is not ABSENT

    def __setitem__(self, key: Hashable, value: Any, /) -> None:
        self.changed[key] = value


def decoded_state(encoded: bytes, part: str, key: Hashable) -> Any:
    """The value of a part's key from JSON, which has no word for the tuples of claims. Raises DamagedFile."""
    try:
        return _tuples(msgspec.json.decode(encoded))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedFile(f"the {part} of {key!r} cannot be read: {error}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class FoldPart(StoredClaimState):
    """One part of the fold by key."""

    def __init__(self, database: sqlite3.Connection, part: str) -> None:
        super().__init__()
        self._database = database
        self._part = part
        found = database.execute("SELECT EXISTS (SELECT 1 FROM fold WHERE part = ?)", (part,)).fetchone()
        self._empty = not found[0]

    def stored(self, key: Hashable) -> Any:
        if self._empty:  # as while a log is folded from its beginning
            return ABSENT
        sql = "SELECT value FROM fold WHERE part = ? AND key = ?"
        row = self._database.execute(sql, (self._part, msgspec.json.encode(key))).fetchone()
        return ABSENT if row is None else decoded_state(row[0], self._part, key)

    def save(self) -> None:
        """Write what came since. Within a transaction."""
        self._empty = self._empty and not self.changed
        self._database.executemany(
            "INSERT OR REPLACE INTO fold VALUES (?, ?, ?)",
            ((self._part, msgspec.json.encode(key), msgspec.json.encode(value)) for key, value in self.changed.items()),
        )


class StoredFold:
    """``path``: the file, "" for none: in memory. Raises FoldElsewhere, OSError. For one thread at a time;
    close it. ``valid``: applies the next record; ``states``: of invoices by id, for who keeps them."""

    def __init__(self, path: str, log_id: str) -> None:
        self._lock = _locked(path) if path else None
        self._path = path
        self._about = identity(VERSION, log_id)
        try:
            self._database = self._opened()
        except BaseException:
            self._unlock()
            raise
        parts = [FoldPart(self._database, part) for part in ("version", "head", "fact", "state")]
        self.valid = ValidInvoices(FirstValid(*parts[:3]))
        self.states = parts[3]
        self._parts = parts
        self._applied = self.positions()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
        self._unlock()

    def discard(self) -> None:
        """Let go of the file, and delete it: it cannot be used."""
        self._database.close()
        if self._path:
            _delete(self._path)
        self._unlock()

    def positions(self) -> dict[int, int]:
        """Partition → next offset: every record below it is in the file."""
        return read_positions(self._database)

    def unseen(self, records: Iterable[LogRecord]) -> Iterator[LogRecord]:
        """Those of the records, in log order, that were not given here before: a record that was void then may not be
        judged again. While a large record is being written in pieces, what follows its first one is read again at each
        start."""
        for record in records:
            if record.offset >= self._applied.get(record.partition, 0):
                yield record
                self._applied[record.partition] = record.offset + 1

    def begin(self, marks: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, LogPlace]:
        """Where the log is read on (``LedgerReader.resume``; at LogReplaced it has to be made anew). A file with
        records that are not known to be dealt with (``marks``), or that the log lacks, is made anew: ClickHouse or
        Kafka was restored from an earlier time."""
        places = read_places(self._database)
        unmarked = any(position.next_offset > marks.get(number, 0) for number, position in places.items())
        if unmarked or any(at > ends.get(number, 0) for number, at in self._applied.items()):
            log.warning("%s is ahead of the marks in ClickHouse or of the log, and is made anew", self._path)
            self.make_anew()
            places = {}
        return {number: places.get(number, BEGINNING) for number in ends}

    def make_anew(self) -> None:
        """Forget all."""
        with transaction(self._database):
            make_anew(self._database, self._about, _TABLES)
        for part in self._parts:
            part.changed.clear()
        self._applied.clear()

    def versions(self) -> int:
        """Number of valid records in the file: of an invoice or draft of version n there were n."""
        sql = "SELECT coalesce(sum(CAST(CAST(value AS TEXT) AS INTEGER)), 0) FROM fold WHERE part = 'version'"
        return int(self._database.execute(sql).fetchone()[0])

    def save(self, places: Mapping[int, LogPlace]) -> None:
        """Write what came since, which is dealt with; ``places``: where the log is read. Nothing is written while a
        reader that has just begun is behind what was judged before."""
        if any(position.next_offset < self._applied.get(number, 0) for number, position in places.items()):
            return
        with transaction(self._database):
            for part in self._parts:
                part.save()
            write_places(self._database, places)
        for part in self._parts:
            part.changed.clear()
        self._applied |= {number: position.next_offset for number, position in places.items()}

    @property
    def unsaved(self) -> int:
        """Entries that came since."""
        return sum(len(part.changed) for part in self._parts)

    def contents(self) -> Iterator[tuple[Any, ...]]:
        """All that the file has of the fold, in order: equal for two files of one log at the same positions."""
        yield from self._database.execute(CONTENTS)

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if not self._path or not is_damage(error):
                raise
            log.warning("%s cannot be read and is made anew: %s", self._path, error)
            _delete(self._path)
            return self._open()

    def _open(self) -> sqlite3.Connection:
        # In memory rather than in a temporary file: a container may have no folder for one.
        return open_fold_file(self._path, self._about, _TABLES, unnamed=":memory:")

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def stored_in(folder: str, name: str, log_id: str) -> StoredFold:
    """The file of this name in a folder, which is made. Raises FoldElsewhere, sqlite3.Error, OSError."""
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    return StoredFold(str(Path(folder) / name), log_id)


def _delete(path: str) -> None:
    for beside in ("", "-wal", "-shm"):  # nobody else has it: it is locked
        Path(path + beside).unlink(missing_ok=True)


def _locked(path: str) -> int:
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FoldElsewhere(f"{path} is another process's") from None
    return lock
