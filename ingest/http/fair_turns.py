"""Whose request is worked at next: a turn of the event loop begins a bounded number of requests, and a tenant that asks
for little does not wait behind one that asks for much.

A request begins at once as long as its turn has room, or its tenant has had less than its share of the turn. Those
beyond wait, and each turn begins the oldest of one waiting tenant after another: of each tenant as many, however many
they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable


class FairTurns:
    """Belongs to one loop. ``call_soon`` calls a function once in the loop's next turn; ``most``: how many requests a
    turn begins, or twice as many where tenants that wait for nothing come beside those that do."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], most: Callable[[], int]) -> None:
        self._call_soon = call_soon
        self._ask_most = most
        self._most = 1
        self._begun: Counter[str] = Counter()  # in this turn
        self._total = 0
        self._tenants = 0  # that wait, or began in this turn
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._order: deque[str] = deque()  # tenants that wait, the next one first
        self._turning = False

    def enter(self, tenant: str, future: Callable[[], asyncio.Future[None]]) -> asyncio.Future[None] | None:
        """None if a request of ``tenant`` begins now; else ``future()``, which is done when it is to begin."""
        if not self._turning:
            self._turning = True
            self._call_soon(self._next_turn)
            self._most = self._ask_most()
        if tenant not in self._waiting and (self._total < self._most or self._below_share(tenant)):
            if tenant not in self._begun:
                self._tenants += 1
            self._begin(tenant)
            return None
        if tenant not in self._waiting:
            if tenant not in self._begun:
                self._tenants += 1
            self._waiting[tenant] = deque()
            self._order.append(tenant)
        waits = future()
        self._waiting[tenant].append(waits)
        return waits

    def _below_share(self, tenant: str) -> bool:
        """Of a tenant that does not wait."""
        tenants = self._tenants + (tenant not in self._begun)
        return self._total < 2 * self._most and self._begun[tenant] < max(1, self._most // tenants)

    def _begin(self, tenant: str) -> None:
        self._begun[tenant] += 1
        self._total += 1

    def _next_turn(self) -> None:
        self._begun.clear()
        self._total = 0
        self._tenants = len(self._waiting)
        self._most = self._ask_most()
        while self._waiting and self._total < self._most:
            tenant = self._order.popleft()
            queue = self._waiting[tenant]
            waits = queue.popleft()
            if queue:
                self._order.append(tenant)
            else:
                del self._waiting[tenant]
            if not waits.done():  # else its task was cancelled
                waits.set_result(None)
                self._begin(tenant)
            elif not queue and tenant not in self._begun:
                self._tenants -= 1
        self._turning = bool(self._waiting or self._total)
        if self._turning:
            self._call_soon(self._next_turn)
