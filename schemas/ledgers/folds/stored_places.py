"""Where the log is read on, by partition, in the file of a fold."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import astuple
from typing import Final

from schemas.ledgers.log_place import LogPlace, RecordMark

POSITIONS_TABLE: Final = """
CREATE TABLE positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, begin INTEGER NOT NULL,
    last_offset INTEGER, last_append_us INTEGER, last_checksum INTEGER);
"""
_NO_MARK: Final = (None, None, None)


def read_positions(database: sqlite3.Connection) -> dict[int, int]:
    """Partition → next offset."""
    return dict(database.execute("SELECT partition, next_offset FROM positions"))


def read_places(database: sqlite3.Connection) -> dict[int, LogPlace]:
    """Partition → where the log is read on."""
    rows = database.execute(
        "SELECT partition, next_offset, begin, last_offset, last_append_us, last_checksum FROM positions"
    )
    return {
        number: LogPlace(at, begin, None if tuple(mark) == _NO_MARK else RecordMark(*mark))
        for number, at, begin, *mark in rows
    }


def write_places(database: sqlite3.Connection, places: Mapping[int, LogPlace]) -> None:
    """Instead of those that the file has of these partitions. Within a transaction."""
    database.executemany(
        "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                number,
                position.next_offset,
                position.begin,
                *(_NO_MARK if position.last is None else astuple(position.last)),
            )
            for number, position in places.items()
        ],
    )
