"""Gives up the parts that the engine was writing when the file system refused a write (a full disk).

Every statement under way was answered with an error then, and what a merge had read is still there: nothing that was
acknowledged lacks those parts. Left as they are, they would stand as damaged parts, which stop metering and closes
until somebody orders a repair of what lacks nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

RunQuery = Callable[[str], Sequence[Sequence[str]]]
"""Runs a statement of the engine and returns its rows."""

_BEFORE_SECONDS: Final = 60
"""A part was written at most so long before the refused write was noticed: after each statement, and every 5 s."""


class WriteMark:
    """Remembers across a restart that a write was refused: a disk that takes no write takes no new file, so a file that
    exists from the start is renamed."""

    def __init__(self, folder: Path) -> None:
        self._whole, self._refused = folder / "writes-whole", folder / "writes-refused"
        with suppress(OSError):
            if not self._refused.exists():
                self._whole.touch()

    def refuse(self) -> None:
        """A write was refused now. Without the mark its parts are told of as damaged ones."""
        with suppress(OSError):
            now = time.time()
            os.utime(self._whole, (now, now))
            self._whole.rename(self._refused)

    def refused_at(self) -> int | None:
        """Seconds since the epoch at which a write was refused, None if none was."""
        try:
            return int(self._refused.stat().st_mtime)
        except OSError:
            return None

    def clear(self) -> None:
        """Everything that followed from it is done."""
        with suppress(OSError):
            self._refused.rename(self._whole)


def give_up_unfinished(mark: WriteMark, query: RunQuery) -> list[Any]:
    """Drop the detached parts that were being written when the write was refused; returns (database, table, part) of
    each. Call it once at the start, when the engine has checked every part."""
    refused_at = mark.refused_at()
    if refused_at is None:
        return []
    parts = [
        tuple(row)
        for row in query(
            "SELECT database, table, name FROM system.detached_parts WHERE reason = 'broken-on-start'"
            f" AND toUnixTimestamp(modification_time) >= {refused_at - _BEFORE_SECONDS} ORDER BY ALL"
        )
    ]
    for database, table, name in parts:
        query(f"ALTER TABLE `{database}`.`{table}` DROP DETACHED PART '{name}' SETTINGS allow_drop_detached = 1")
    mark.clear()
    return parts
