"""The file of a fold that is held in memory (reservations, alerts, checkpoints): from it and what the log has beyond it
a start makes the fold that the whole log gives.

A cache, never a second truth: the log is read from its beginning where the file is absent, damaged, of another version
or log, or beyond the log's end, and where the log has another record at its last place; `weir verify` compares it with
the log. Whatever follows the topic may read a file, also several processes at once, and each writes it when it is far
behind: ``FoldImage.save``.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, TypeAlias
from zlib import crc32

from confluent_kafka import KafkaException

from schemas.ledgers.folds.fold_file import DamagedFile, identity, identity_of, is_damage, open_fold_file, transaction
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.folds.stored_places import POSITIONS_TABLE, read_places, write_places
from schemas.ledgers.log_place import BEGINNING, LogPlace
from schemas.settings import Settings

log = logging.getLogger(__name__)

Places: TypeAlias = Mapping[int, LogPlace]

LEAST_BEHIND: Final = 5_000
"""A file is written once it is so many records behind, and half of what the fold holds."""
_OTHERS_BEHIND: Final = 4
"""… so many times as many where another process wrote it, which writes it for less."""
_LOCK_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.05
_TABLES: Final = f"""{POSITIONS_TABLE}
CREATE TABLE fold (part TEXT, key BLOB, value BLOB, checksum INTEGER NOT NULL, PRIMARY KEY (part, key)) WITHOUT ROWID;
"""


class KnowingReader(Protocol):
    """A ``LedgerReader``."""

    def knows(self, places: Places) -> bool:
        """Whether the log has the last record of each place still."""


class FoldImage:
    """The file at ``path`` ("": none is kept) of a fold whose rows are of ``version``; ``log``: whose log's. For one
    thread at a time."""

    def __init__(self, path: str, version: int, log: str) -> None:
        self._path = path
        self._about = identity(version, log)
        self._base: Places = {}
        """Where the file stood when it was read or written here."""
        self._next_try = 0

    def begin(
        self,
        reader: KnowingReader,
        ends: Mapping[int, int],
        first: Mapping[int, int],
        restore: Callable[[Iterable[Row]], None],
    ) -> dict[int, LogPlace]:
        """Where the log is read on (``LedgerReader.resume``): where the file stands once ``restore`` was given its
        rows, ordered by key within each part; at ``first`` where there is no file to go on from. ``restore`` raises
        ValueError, and has then changed nothing. ``ends``: of the log."""
        beginning = {number: LogPlace(at, at) if (at := first.get(number, 0)) else BEGINNING for number in ends}
        if self._path and Path(self._path).exists():
            try:
                with self._locked(fcntl.LOCK_SH, _LOCK_SECONDS), closing(self._read_only()) as database:
                    database.execute("BEGIN")
                    places = self._usable(database, ends, first)
                    if places and reader.knows(places):
                        restore(_rows(database))
                        self._base, self._next_try = places, _total(places)
                        return places
            except BlockingIOError:
                log.warning("%s is being written, and the log read from its beginning", self._path)
            except OSError as error:
                log.warning("%s is not read: %s", self._path, error)
            except KafkaException as error:
                log.warning("%s is not used: %s", self._path, error)
            except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
                log.warning("%s cannot be read and is made anew: %s", self._path, error)
                self._delete()
        return beginning

    def _usable(
        self, database: sqlite3.Connection, ends: Mapping[int, int], first: Mapping[int, int]
    ) -> dict[int, LogPlace]:
        if identity_of(database) != self._about:
            return {}
        places = read_places(database)
        within = all(
            first.get(number, 0) <= position.reading_from and position.next_offset <= ends.get(number, 0)
            for number, position in places.items()
        )
        return places if within and places.keys() == ends.keys() else {}

    def save(self, places: Places, size: int, rows: Callable[[], Iterable[Row]]) -> bool:
        """Write the fold of ``size`` entries, which is that of the log below ``places``, if the file is far behind;
        whether it was. ``rows()``: all of it; what the file had is deleted, since a fold also forgets."""
        behind = max(LEAST_BEHIND, size // 2)
        if not self._path or _total(places) < self._next_try + behind:
            return False
        self._next_try = _total(places)
        try:
            Path(self._path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(fcntl.LOCK_EX, 0), closing(self._open()) as database, transaction(database):
                stored = read_places(database)
                others = stored != self._base
                if others and _total(places) - behind * _OTHERS_BEHIND < _total(stored) <= _total(places):
                    return False
                database.execute("DELETE FROM fold")
                _write(database, rows())
                write_places(database, places)
        except (BlockingIOError, sqlite3.OperationalError) as error:  # being read; a full disk
            log.warning("%s is not written: %s", self._path, error)
            return False
        except Exception as error:  # damage, or a fault of ours: whoever has the fold goes on without a file
            log.error("%s cannot be written and is made anew: %s: %s", self._path, type(error).__name__, error)
            self._delete()
            return False
        self._base = dict(places)
        return True

    def contents(self) -> tuple[dict[int, LogPlace], list[Row]] | None:
        """Where the file stands, and all its rows in order; None where there is none of this version and log. Raises
        sqlite3.DatabaseError."""
        if not Path(self._path).exists():
            return None
        with self._locked(fcntl.LOCK_SH, _LOCK_SECONDS), closing(self._read_only()) as database:
            database.execute("BEGIN")
            return (read_places(database), list(_rows(database))) if identity_of(database) == self._about else None

    def _open(self) -> sqlite3.Connection:
        try:
            return open_fold_file(self._path, self._about, _TABLES)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            log.warning("%s cannot be read and is made anew: %s", self._path, error)
            self._unlink()
            return open_fold_file(self._path, self._about, _TABLES)

    def _read_only(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{Path(self._path).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    def _delete(self) -> None:
        with suppress(OSError), self._locked(fcntl.LOCK_EX, 0):
            self._unlink()
        self._base, self._next_try = {}, 0

    def _unlink(self) -> None:
        for beside in ("", "-wal", "-shm"):
            Path(self._path + beside).unlink(missing_ok=True)

    @contextmanager
    def _locked(self, how: int, seconds: float) -> Iterator[None]:
        """Raises BlockingIOError where another process has it after so many seconds."""
        lock = os.open(f"{self._path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            until = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(lock, how | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise
                time.sleep(_PAUSE_SECONDS)
            yield
        finally:
            os.close(lock)


def image_of(settings: Settings, topic: str, version: int) -> FoldImage:
    """That of a topic's fold in the settings' folder. Raises LedgerUnavailable."""
    if not settings.snapshot_dir:
        return FoldImage("", version, "")
    return FoldImage(image_path(settings.snapshot_dir, topic), version, log_id(settings, topic=topic))


def image_path(folder: str, topic: str) -> str:
    """Where it lies in the folder of snapshots."""
    return str(Path(folder) / f"{topic}.sqlite")


def _total(places: Places) -> int:
    return sum(position.next_offset for position in places.values())


def _checksum(part: str, key: bytes, value: bytes) -> int:
    return crc32(value, crc32(key, crc32(part.encode())))


def _write(database: sqlite3.Connection, rows: Iterable[Row]) -> None:
    database.executemany(
        "INSERT OR REPLACE INTO fold VALUES (?, ?, ?, ?)",
        ((part, key, value, _checksum(part, key, value)) for part, key, value in rows),
    )


def _rows(database: sqlite3.Connection) -> Iterator[Row]:
    for part, key, value, checksum in database.execute(
        "SELECT part, key, value, checksum FROM fold ORDER BY part, key"
    ):
        if checksum != _checksum(part, key, value):
            raise DamagedFile(f"the {part} of {key!r} is damaged")
        yield part, key, value
