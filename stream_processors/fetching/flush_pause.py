"""Waits until an app's stream buffers hold enough for a flush, or until a time is over; and says how long it waits, so
that what is flushed then is asked for then."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final, Protocol

ENOUGH_BYTES: Final = 6 * 1024 * 1024
ENOUGH_RECORDS: Final = 1024
LITTLE: Final = 8
"""Below this part of what is enough, little waits."""


class RecordBuffer(Protocol):
    """What waits between the consumer and an agent."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the record values in it."""

    def qsize(self) -> int:
        """Records in it."""


class WaitingRecords:
    """The records that wait in an app's stream buffers. For the app's event loop, but for ``rest``."""

    def __init__(self) -> None:
        self._buffers: list[RecordBuffer] = []
        self._awaited: asyncio.Event | None = None
        self._due = 0.0

    def rest(self, now: float) -> float:
        """Seconds until the next flush, as it is waited for at ``now`` (monotonic) while little waits; else 0. Any
        thread."""
        much = any(
            LITTLE * buffer.waiting_bytes >= ENOUGH_BYTES or LITTLE * buffer.qsize() >= ENOUGH_RECORDS
            for buffer in self._buffers
        )
        return 0.0 if much else max(0.0, self._due - now)

    def watch(self, buffer: RecordBuffer) -> None:
        """Count the records of this buffer too; it calls ``grown`` whenever it gets one."""
        self._buffers.append(buffer)

    def grown(self) -> None:
        """A buffer has got a record."""
        if self._awaited is not None and self._enough():
            self._awaited.set()

    async def wait_for_enough(self, seconds: float) -> None:
        """Return once ``ENOUGH_BYTES`` or ``ENOUGH_RECORDS`` wait, after ``seconds`` at the latest."""
        if seconds <= 0 or self._enough():
            return
        self._awaited = asyncio.Event()
        self._due = time.monotonic() + seconds
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awaited.wait(), seconds)
        finally:
            self._awaited = None
            self._due = 0.0

    def _enough(self) -> bool:
        return any(buffer.waiting_bytes >= ENOUGH_BYTES or buffer.qsize() >= ENOUGH_RECORDS for buffer in self._buffers)
