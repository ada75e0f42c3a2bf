"""Shedding: a gateway that is asked for more than it can do says no early, and to those first who ask for most.

The loop answers in turns: all requests that have come are read, then worked at one after another. A request waits for
some five turns (it is read, judged, sent, acknowledged, answered), so that what a turn lasts decides what everybody
waits. A turn has TURN_SECONDS. Where requests have come for longer turns during PATIENCE_SECONDS, each turn serves what
fits, by the time that a request has been measured to take, and the rest is told 503 at once. A tenant with less than
its share of the turn is served beyond that, so who asks little is never refused. A burst is not overload: it is worked
off.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

TURN_SECONDS: Final = 0.015
PATIENCE_SECONDS: Final = 0.25
_LEAST: Final = 4  # requests of a turn
_SHED_COST: Final = 0.1  # of a request that is served
_FORGETTING: Final = 0.05
_FIRST_COST: Final = 0.0003


class Overload:
    """Belongs to one loop. ``call_soon``: runs its argument in the loop's next turn."""

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._turning = False
        self._began = 0.0
        self._good = clock()  # when all that was asked for fitted into a turn, or nothing was asked
        self._served: Counter[str] = Counter()
        self._before: frozenset[str] = frozenset()
        self._room = float(_LEAST)
        self._shedding = False
        self._admitted = 0
        self._shed = 0
        self.cost = _FIRST_COST  # seconds that a turn lasts for each request of it

    def admit(self, tenant: str) -> bool:
        """Whether a request of ``tenant``, which was just read, is served."""
        if not self._turning:
            self._begin()
        if self._shedding and self._admitted >= self._room:
            tenants = len(self._before.union(self._served, (tenant,)))
            if self._served[tenant] >= max(1.0, self._room / tenants):
                self._shed += 1
                return False
        self._served[tenant] += 1
        self._admitted += 1
        return True

    def _begin(self) -> None:
        # Nothing was asked for in the turn before.
        self._turning, self._began = True, self._clock()
        self._good = self._began
        self._start()
        self._call_soon(self._end)

    def _start(self) -> None:
        self._room = max(_LEAST, TURN_SECONDS / self.cost)
        self._shedding = self._began - self._good > PATIENCE_SECONDS

    def _end(self) -> None:
        """All that was read has been counted; what was admitted is worked at next. Goes on as long as requests come in
        every turn: until then the loop waits for nothing, and the time from one call to the next is that of the
        work."""
        now = self._clock()
        asked = self._admitted + self._shed
        if not asked:
            self._turning, self._shedding, self._before = False, False, frozenset()
            return
        each = (now - self._began) / (self._admitted + _SHED_COST * self._shed)
        self.cost += _FORGETTING * (min(each, TURN_SECONDS) - self.cost)
        if asked <= self._room:
            self._good = now
        self._began = now
        self._start()
        self._before = frozenset(self._served)
        self._served.clear()
        self._admitted = self._shed = 0
        self._call_soon(self._end)
