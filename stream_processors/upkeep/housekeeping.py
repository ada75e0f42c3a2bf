"""Periodic chores of a worker, run once a second beside its agents."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from stream_processors.threads import Work, in_thread


def always() -> bool:
    """The ``due`` of a chore that determines itself whether there is something to do."""
    return True


@dataclass(frozen=True, slots=True)
class Chore:
    """A periodic task: ``run`` is called in ``thread`` every second in which ``due`` returns True, and must be safe
    to repeat. ``reported``: whether /readyz reports it when it stalls."""

    name: str
    thread: ThreadPoolExecutor
    run: Callable[[], object]
    due: Callable[[], bool] = always
    reported: bool = True


class Housekeeping:
    """Runs chores in order, one at a time, after awaiting ``catch_up`` once, if there is one."""

    def __init__(self, catch_up: Callable[[], Awaitable[None]] | None, chores: Sequence[Chore]) -> None:
        self._catch_up = catch_up
        self._chores = chores
        self._round: asyncio.Task[None] | None = None
        self.work = Work()

    async def tick(self) -> None:
        """Start a round of chores unless the previous one is still running. Returns at once."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._do_chores())

    async def _do_chores(self) -> None:
        if self._catch_up is not None:
            await self._catch_up()
            self._catch_up = None
        for chore in self._chores:
            if not chore.due():
                continue
            if not chore.reported:
                await in_thread(chore.thread, chore.name, chore.run)
                continue
            with self.work:
                self.work.position = chore.name
                await in_thread(chore.thread, chore.name, chore.run, self.work)
