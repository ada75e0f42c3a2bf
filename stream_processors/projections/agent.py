"""The agent of a ledger topic, which brings a copy in ClickHouse up to date with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from stream_processors.takes import Ack, Event, begin_of
from stream_processors.threads import Work, executor, in_thread

BringUpToDate = Callable[[Collection[int]], object]
"""Copies what the given partitions have and ClickHouse has not; safe to repeat."""


class LedgerAgent:
    """A record of its topic says only that there is something new: the copy itself knows from where it goes on.

    ``name`` stands in log lines and names its thread; ``group_work`` is shared by the agents of one consumer group.
    """

    def __init__(self, name: str, bring_up_to_date: BringUpToDate, partitions: int, group_work: Work) -> None:
        self._name = name
        self._bring_up_to_date = bring_up_to_date
        self._partitions = partitions
        self._group_work = group_work
        self.work = Work()
        self.thread = executor(name)
        """The one thread in which its copy is written, by whomever."""

    async def take(self, events: Sequence[Event], ack: Ack) -> None:
        """Bring the copy up to date with a take's partitions, and then acknowledge the take."""
        partitions = {event.message.partition for event in events}
        with self._group_work, self.work:
            self.work.position = begin_of(events)
            await in_thread(self.thread, self._name, partial(self._bring_up_to_date, partitions), self.work)
            for event in events:
                await ack(event)

    async def catch_up(self) -> None:
        """Bring the copy up to date with all partitions, without waiting for a record."""
        await in_thread(self.thread, self._name, partial(self._bring_up_to_date, range(self._partitions)))
