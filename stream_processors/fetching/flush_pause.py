"""Waits until an app's stream buffers hold enough for a flush, or until a time is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

ENOUGH_BYTES: Final = 6 * 1024 * 1024
ENOUGH_RECORDS: Final = 1024


class RecordBuffer(Protocol):
    """What waits between the consumer and an agent."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the record values in it."""

    def qsize(self) -> int:
        """Records in it."""


class WaitingRecords:
    """The records that wait in an app's stream buffers. For the app's event loop."""

    def __init__(self) -> None:
        self._buffers: list[RecordBuffer] = []
        self._awaited: asyncio.Event | None = None

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
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awaited.wait(), seconds)
        finally:
            self._awaited = None

    def _enough(self) -> bool:
        return any(buffer.waiting_bytes >= ENOUGH_BYTES or buffer.qsize() >= ENOUGH_RECORDS for buffer in self._buffers)
