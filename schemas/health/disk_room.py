"""Room on the disks that a stack writes to: what falls short of it, in words."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from schemas.health.readiness import Reason

NO_ROOM: Final = "no_room"
_LOOK_SECONDS: Final = 0.25


def free_bytes(folder: str) -> int:
    """Bytes that may still be written below the folder, or below the nearest folder above it that is there."""
    path = Path(folder).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def short_of_room(
    folders: Sequence[str], minimum_bytes: int, free: Callable[[str], int] = free_bytes
) -> Iterator[tuple[str, int]]:
    """(folder, free bytes) of those with less than ``minimum_bytes``; several on one disk are told by the first."""
    disks: set[int] = set()
    for folder in folders:
        try:
            left = free(folder)
            disk = os.stat(folder).st_dev if Path(folder).exists() else -1
        except OSError:
            continue
        if left < minimum_bytes and disk not in disks:
            disks.add(disk)
            yield folder, left


class Room:
    """Reasons to take nothing more, looked for at most a few times a second. A full disk is not waited for: what is on
    its way through Kafka and ClickHouse still needs room, and either of them ends where a write fails."""

    def __init__(
        self, folders: Sequence[str], minimum_bytes: int, *,
        free: Callable[[str], int] = free_bytes, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._folders, self._minimum, self._free, self._clock = tuple(folders), minimum_bytes, free, clock
        self._next = float("-inf")
        self._reasons: tuple[Reason, ...] = ()

    def reasons(self) -> tuple[Reason, ...]:
        """One for each disk without room."""
        now = self._clock()
        if self._folders and now >= self._next:
            self._next = now + _LOOK_SECONDS
            self._reasons = tuple(
                Reason(
                    NO_ROOM,
                    f"{left >> 20} MB are left on the disk of {folder}, fewer than {self._minimum >> 20} "
                    "(WEIR_MINIMUM_FREE_MB)",
                    "make room there; it goes on by itself, and nothing that was acknowledged is lost",
                    refuses=True,
                )
                for folder, left in short_of_room(self._folders, self._minimum, self._free)
            )
        return self._reasons
