"""Shedding: once a gateway has had more to do than it can for half a second, it says no early, and to those first who ask for most.

The loop answers in turns: all requests that have come are read, then worked at one after another, and a turn lasts as long as that takes.
While turns stay long, each serves what fits into TURN_SECONDS by the time that a request has been measured to cost; the rest is told 503 at
once. A tenant with less than its share of the turn is served beyond that, so who asks little waits for one turn and is never refused.
A burst is not overload: it is worked off.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

TURN_SECONDS: Final = 0.03
LONG_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 0.5
_LEAST: Final = 4  # requests of a turn
_SHED_COST: Final = 0.25  # of a request that is served
_FORGETTING: Final = 0.1
_FIRST_COST: Final = 0.0005


class Overload:
    """Belongs to one loop. ``call_soon``: runs its argument in the loop's next turn."""

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], Any], clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:  # fmt: skip
        self._call_soon = call_soon
        self._clock = clock
        self._cpu = cpu
        self._in_turn = False
        self._began = 0.0
        self._spent = cpu()
        self._ended = clock()
        self._good = clock()  # when a turn was short, or there was none
        self._served: Counter[str] = Counter()
        self._before: frozenset[str] = frozenset()
        self._admitted = 0
        self._shed = 0
        self.cost = _FIRST_COST  # CPU seconds of a request

    def admit(self, tenant: str) -> bool:
        """Whether a request of ``tenant`` is served now."""
        if not self._in_turn:
            self._begin()
        if self._clock() - self._good > PATIENCE_SECONDS:
            room = max(_LEAST, TURN_SECONDS / self.cost)
            tenants = len(self._before.union(self._served, (tenant,)))
            if self._admitted >= room and self._served[tenant] >= max(1.0, room / tenants):
                self._shed += 1
                return False
        self._served[tenant] += 1
        self._admitted += 1
        return True

    def _begin(self) -> None:
        self._in_turn, self._began = True, self._clock()
        if self._began - self._ended > LONG_SECONDS:
            self._good = self._began  # nothing was there to do
        self._call_soon(self._end)

    def _end(self) -> None:
        now, spent = self._clock(), self._cpu()
        if now - self._began < LONG_SECONDS:
            self._good = now
        each = (spent - self._spent) / (self._admitted + _SHED_COST * self._shed)
        self.cost += _FORGETTING * (min(each, TURN_SECONDS) - self.cost)
        self._in_turn, self._ended, self._spent = False, now, spent
        self._before = frozenset(self._served)
        self._served.clear()
        self._admitted = self._shed = 0
