"""Where a reader of a log stands, so that another one can go on, and by what it knows the log again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

from schemas.ledgers.errors import LedgerUnavailable


class LogReplaced(LedgerUnavailable):
    """The log has another record where one was read before: it lost its end and grew again, or was made anew. What was
    made of it has to be made anew from its beginning."""


@dataclass(frozen=True, slots=True)
class RecordMark:
    """A message of a partition by offset, append time (µs UTC) and checksum: two logs do not agree in all three."""

    offset: int
    append_us: int
    checksum: int

    @classmethod
    def of(cls, offset: int, append_us: int, value: bytes) -> RecordMark:
        """Of a message."""
        return cls(offset, append_us, crc32(value))


@dataclass(frozen=True, slots=True)
class LogPlace:
    """How far a partition is read: all below ``next_offset``. ``begin``: where the first piece of a record lies that is
    not complete there, else ``next_offset``; ``last``: the last message that was read, None before the first."""

    next_offset: int
    begin: int
    last: RecordMark | None = None

    @property
    def reading_from(self) -> int:
        """Where another reader has to begin to go on at ``next_offset`` and to know the log again."""
        return self.begin if self.last is None else min(self.begin, self.last.offset)


BEGINNING: Final = LogPlace(0, 0)
"""Of a partition of which nothing is read."""
