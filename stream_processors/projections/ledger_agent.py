"""The Faust agent of a ledger topic, which updates the topic's copy in ClickHouse."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from stream_processors.takes import Ack, FaustEvent, begin_of
from stream_processors.threads import Work, executor, in_thread

BringUpToDate = Callable[[Collection[int]], object]
"""Copies the records of the given partitions that ClickHouse lacks; safe to repeat."""


LOOK_SECONDS: Final = 30.0
"""How often a copy is brought up to date without a record: Faust may skip a record around a rebalance."""


class LedgerAgent:
    """Updates a copy whenever its topic has new records. The records only trigger the update: the copy reads the
    topic itself, from its own position.

    ``name`` labels log lines and the thread; ``group_work`` is shared by the agents of one consumer group.
    ``monotonic``: seconds of a monotonic clock.
    """

    def __init__(
        self,
        name: str,
        bring_up_to_date: BringUpToDate,
        partitions: int,
        group_work: Work,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._bring_up_to_date = bring_up_to_date
        self._partitions = partitions
        self._group_work = group_work
        self._monotonic = monotonic
        self.work = Work()
        self._looked_at = self._monotonic()
        self.thread = executor(name)
        """The only thread in which this copy is written, also by callers outside the agent."""

    async def take(self, events: Sequence[FaustEvent], ack: Ack) -> None:
        """Update the copy for the partitions in a take, then acknowledge the take."""
        partitions = {event.message.partition for event in events}
        with self._group_work, self.work:
            self.work.position = begin_of(events)
            await in_thread(self.thread, self._name, partial(self._bring_up_to_date, partitions), self.work)
            for event in events:
                await ack(event)

    def due(self) -> bool:
        """Whether it is time for ``look``."""
        return self._monotonic() - self._looked_at >= LOOK_SECONDS

    def look(self, partitions: Collection[int]) -> None:
        """Update the copy for these partitions without waiting for a record. Call it in ``thread``."""
        self._looked_at = self._monotonic()
        if partitions:
            self._bring_up_to_date(partitions)

    async def catch_up(self) -> None:
        """Update the copy for all partitions without waiting for a record."""
        await in_thread(self.thread, self._name, partial(self._bring_up_to_date, range(self._partitions)))
