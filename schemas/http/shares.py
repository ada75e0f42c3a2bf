"""Shares a limited number of places (threads, or bytes of memory) among tenants and their keys, so that none can
occupy them all. For one asyncio loop.

A tenant may hold at most ``each`` places at once, one of its keys at most ``each_key``. Further requests wait in a
queue per key. Freed places are given to the queues in turn (round robin), so a queue of a thousand delays another
tenant by one piece of work.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


class Busy(Exception):
    """No place: the key's queue is full (``own``), or none became free in time. ``retry_after`` in seconds."""

    def __init__(self, detail: str, retry_after: int, *, own: bool) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.own = own


@dataclass(frozen=True, slots=True)
class SharePlan:
    """Number of ``places`` in total, per tenant (``each``) and per key (``each_key``); ``waiting``: length of a
    key's queue; ``seconds``: maximum wait."""

    places: int
    each: int
    each_key: int
    waiting: int
    seconds: float


_Flow = tuple[str, str]
_Line = deque[tuple[asyncio.Future[None], int]]  # waiting requests with the number of places each needs


class Shares:
    """``async with shares.turn(tenant, key):`` holds a place. ``what`` names the work in error messages."""

    def __init__(self, plan: SharePlan, what: str) -> None:
        self._plan = plan
        self._what = what
        self._running = 0
        self._of_tenant: Counter[str] = Counter()
        self._of_key: Counter[_Flow] = Counter()
        self._lines: OrderedDict[_Flow, _Line] = OrderedDict()

    @asynccontextmanager
    async def turn(self, tenant: str, key: str = "", cost: int = 1) -> AsyncIterator[None]:
        """Wait for ``cost`` places (at most what a key may hold) and hold them. Raises Busy."""
        await self._take((tenant, key), cost)
        try:
            yield
        finally:
            self._leave((tenant, key), cost)

    def _free(self, flow: _Flow, cost: int) -> bool:
        plan = self._plan
        return (
            self._running + cost <= plan.places
            and self._of_tenant[flow[0]] + cost <= plan.each
            and self._of_key[flow] + cost <= plan.each_key
        )

    async def _take(self, flow: _Flow, cost: int) -> None:
        if flow not in self._lines and self._free(flow, cost):
            self._enter(flow, cost)
            return
        line = self._lines.setdefault(flow, deque())
        if len(line) >= self._plan.waiting:
            raise Busy(
                f"{len(line)} {self._what} of this key wait already for those of its namespace that are under way; "
                "wait for their answers before sending more",
                1,
                own=True,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append((turn, cost))
        try:
            async with asyncio.timeout(self._plan.seconds):
                await turn
        except TimeoutError:
            self._give_up(flow, turn, cost)
            detail = f"no place for {self._what} became free within {self._plan.seconds:g} s; try again"
            raise Busy(detail, math.ceil(self._plan.seconds / 4), own=False) from None
        except BaseException:
            self._give_up(flow, turn, cost)
            raise

    def _give_up(self, flow: _Flow, turn: asyncio.Future[None], cost: int) -> None:
        if turn.done() and not turn.cancelled():
            self._leave(flow, cost)  # the place was granted at the same moment
        elif (line := self._lines.get(flow)) is not None:
            with suppress(ValueError):
                line.remove((turn, cost))
            if not line:
                del self._lines[flow]
            self._invite()  # the next in the queue may need fewer places

    def _enter(self, flow: _Flow, cost: int) -> None:
        self._running += cost
        self._of_tenant[flow[0]] += cost
        self._of_key[flow] += cost

    def _leave(self, flow: _Flow, cost: int) -> None:
        self._running -= cost
        self._of_tenant[flow[0]] -= cost
        if not self._of_tenant[flow[0]]:
            del self._of_tenant[flow[0]]
        self._of_key[flow] -= cost
        if not self._of_key[flow]:
            del self._of_key[flow]
        self._invite()

    def _invite(self) -> None:
        """Give free places to the queues, in turn."""
        for flow in list(self._lines):
            if self._running >= self._plan.places:
                return
            line = self._lines[flow]
            while line and line[0][0].done():  # the waiting request was cancelled
                line.popleft()
            if line and self._free(flow, line[0][1]):
                turn, cost = line.popleft()
                self._enter(flow, cost)
                turn.set_result(None)
                self._lines.move_to_end(flow)  # its next turn comes after all others
            if not line:
                del self._lines[flow]
