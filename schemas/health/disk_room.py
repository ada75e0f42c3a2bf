"""Checks the free space on the disks that a stack writes to."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from schemas.health.readiness import UnreadyReason

NO_ROOM: Final = "no_room"
_LOOK_SECONDS: Final = 0.25


def free_bytes(folder: str) -> int:
    """Free bytes on the disk of the folder, or of its nearest existing parent."""
    path = Path(folder).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def short_of_room(
    folders: Sequence[str], minimum_bytes: int, free: Callable[[str], int] = free_bytes
) -> Iterator[tuple[str, int]]:
    """(folder, free bytes) of folders with less than ``minimum_bytes``; of several on one disk only the first."""
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
    """Readiness reasons for disks with too little free space, checked a few times a second at most.

    Events are refused before a disk is full: those in flight in Kafka and ClickHouse still need space, and both
    fail when a write does.
    """

    def __init__(
        self,
        folders: Sequence[str],
        minimum_bytes: int,
        *,
        free: Callable[[str], int] = free_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders, self._minimum, self._free, self._clock = tuple(folders), minimum_bytes, free, clock
        self._next = float("-inf")
        self._reasons: tuple[UnreadyReason, ...] = ()

    def reasons(self) -> tuple[UnreadyReason, ...]:
        """One reason per disk with too little free space."""
        now = self._clock()
        if self._folders and now >= self._next:
            self._next = now + _LOOK_SECONDS
            self._reasons = tuple(
                UnreadyReason(
                    NO_ROOM,
                    f"{left >> 20} MB are left on the disk of {folder}, fewer than {self._minimum >> 20} "
                    "(WEIR_MINIMUM_FREE_MB)",
                    "make room there; it goes on by itself, and nothing that was acknowledged is lost",
                    refuses=True,
                )
                for folder, left in short_of_room(self._folders, self._minimum, self._free)
            )
        return self._reasons
