"""Where the consumer of usage.events goes on: at the journal's cursors, not at Kafka's commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from faust.types import TP

from schemas.ledgers.checkpoints import Offsets, read_progress
from stream_processors.metering.journal import Journal
from stream_processors.threads import Stopping, end_hard, executor

log = logging.getLogger(__name__)

CURSOR_SECONDS: Final = 10.0
"""So long a consumer that has got partitions waits for ClickHouse to say where it goes on."""

SeekConsumer = Callable[[Mapping[TP, int]], Awaitable[None]]


def seek_target(cursor: int) -> int:
    """What Faust is told in order to go on at ``cursor``: it drops, or once dropped, the record at the very offset that
    it is told."""
    return max(cursor - 1, 0)


class Seeker:
    """Moves the consumer of ``topic``. ``bind`` it to the running app before anything is metered."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seek_consumer: SeekConsumer | None = None

    def bind_consumer(self, seek: SeekConsumer) -> None:
        """How to seek the consumer, once there is an app."""
        self._seek_consumer = seek

    def bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop in which the consumer lives."""
        self._loop = loop

    def seek(self, partition: int, cursor: int) -> None:
        """Have the consumer go on at ``cursor``. Any thread; returns at once."""
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
    """The cursors of partitions of one generation of usage.events that a consumer has just got."""

    def __init__(self, journal: Journal, topic: str, generation: int) -> None:
        self._journal = journal
        self._topic = topic
        self._generation = generation
        self._thread = executor("cursors")

    async def targets(self, assigned: Iterable[TP]) -> dict[TP, int]:
        """Where to seek so that each assigned partition of the topic goes on at its cursor. Empty where ClickHouse does
        not say in a few seconds: then the watchdog sees to it later."""
        partitions = [tp for tp in assigned if tp.topic == self._topic]
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read)
        try:
            progress = await asyncio.wait_for(asyncio.shield(reading), CURSOR_SECONDS)
        except (TimeoutError, Stopping):
            return {}
        return {tp: seek_target(progress.get((self._generation, tp.partition), 0)) for tp in partitions}

    def _read(self) -> Offsets:
        return self._journal.run("read the cursors", read_progress)
