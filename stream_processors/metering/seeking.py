"""Positions the consumer of usage.events at the journal's cursors instead of Kafka's committed offsets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from faust.types import TP

from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.generations import Offsets
from stream_processors.metering.journal import Journal
from stream_processors.threads import Stopping, end_hard, executor

log = logging.getLogger(__name__)

CURSOR_SECONDS: Final = 10.0
"""How long a consumer with newly assigned partitions waits for ClickHouse to return the cursors."""

SeekConsumer = Callable[[Mapping[TP, int]], Awaitable[None]]


def seek_target(cursor: int) -> int:
    """The offset to pass to Faust's seek in order to continue at ``cursor``: one less, since Faust drops the record
    at the offset itself."""
    return max(cursor - 1, 0)


class Seeker:
    """Seeks the consumer of ``topic``. Call both ``bind_`` methods before metering begins."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seek_consumer: SeekConsumer | None = None

    def bind_consumer(self, seek: SeekConsumer) -> None:
        """Set the coroutine function that seeks the app's consumer."""
        self._seek_consumer = seek

    def bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop of the consumer."""
        self._loop = loop

    def seek(self, partition: int, cursor: int) -> None:
        """Make the consumer continue at ``cursor``. Can be called from any thread; returns at once."""
        loop, seek = self._loop, self._seek_consumer
        if loop is None or seek is None:
            end_hard("a seek was asked for before the worker ran")
        target = {TP(self._topic, partition): seek_target(cursor)}
        asyncio.run_coroutine_threadsafe(_seek_now(seek, target), loop)


async def _seek_now(seek: SeekConsumer, target: Mapping[TP, int]) -> None:
    try:
        await seek(target)
    except Exception as error:
        log.warning("seek %s: %r; the gap is found again and sought again", dict(target), error)


class AssignedCursors:
    """Reads the cursors of partitions that a consumer of one generation of usage.events was assigned."""

    def __init__(self, journal: Journal, topic: str, generation: int) -> None:
        self._journal = journal
        self._topic = topic
        self._generation = generation
        self._thread = executor("cursors")

    async def targets(self, assigned: Iterable[TP]) -> dict[TP, int]:
        """The seek targets of the topic's assigned partitions. Empty if ClickHouse does not answer within
        ``CURSOR_SECONDS``; the watchdog then corrects the positions later."""
        partitions = [tp for tp in assigned if tp.topic == self._topic]
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read)
        try:
            progress = await asyncio.wait_for(asyncio.shield(reading), CURSOR_SECONDS)
        except (TimeoutError, Stopping):
            return {}
        return {tp: seek_target(progress.get((self._generation, tp.partition), 0)) for tp in partitions}

    def _read(self) -> Offsets:
        return self._journal.run("read the cursors", read_progress)
