"""Shedding: a gateway that is asked for more than it can do says no early, and to those first who ask for most.

The loop answers in turns, and a request waits for some five of them (it is read, judged, sent, acknowledged, answered).
Where most of the requests of PATIENCE_SECONDS waited longer than TURN_SECONDS for their first turn, the loop is asked
for too much: from then on it has at most so many requests in hand (read, and not sent to Kafka) as it finishes in
TURN_SECONDS, and those beyond are told 503 by their heads alone. What waits for Kafka is not in hand: a slow broker is
not overload, and ``Delivery`` has a bound for it. A tenant with less than its share in hand is served beyond the bound,
so who asks little is never refused. A burst is not overload: it is worked off.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

TURN_SECONDS: Final = 0.025
STEP_SECONDS: Final = 0.005
WINDOW_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 0.25
LEAST_IN_HAND: Final = 16
LEAST_BEGUN: Final = 4
_FIRST_RATE: Final = 3000.0  # requests a second, until it is measured
_SMOOTHING: Final = 0.3
_REFUSALS_FOR_A_REQUEST: Final = 6  # cost the loop as much; else a flood of refusals would look like a slow machine


class Overload:
    """Belongs to one loop. ``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._in_hand: Counter[str] = Counter()
        self._total = 0
        self._tenants: set[str] = set()  # that asked in this window
        self._tenants_before = 0
        self._window_end = clock() + WINDOW_SECONDS
        self._last = clock()  # when a request came or was answered
        self._begun = 0
        self._late = 0
        self._finished = 0
        self._refused = 0
        self._exceeded_since = clock()  # of the first of the windows without a pause in which most were late
        self._exceeded_before = False
        self._rate = _FIRST_RATE
        self.shedding = False

    @property
    def bound(self) -> float:
        """Requests that may be in hand."""
        return max(LEAST_IN_HAND, self._rate * TURN_SECONDS)

    def begun_in_a_turn(self) -> int:
        """Requests whose work a turn of the loop may begin: what it finishes in STEP_SECONDS."""
        return max(LEAST_BEGUN, round(self._rate * STEP_SECONDS))

    def refuses(self, tenant: str) -> bool:
        """Whether a request of ``tenant`` that has just come is to be told 503."""
        if (now := self.clock()) >= self._window_end:
            self._next_window(now)
        if now - self._last > WINDOW_SECONDS:  # all was worked off
            self._exceeded_since, self._exceeded_before, self._late = now, False, 0
        self._last = now
        self._tenants.add(tenant)
        if not self.shedding or self._total < (bound := self.bound):
            return False
        tenants = max(self._tenants_before, len(self._tenants))
        if self._in_hand[tenant] < max(1.0, bound / tenants):
            return False
        self._refused += 1
        return True

    def take(self, tenant: str) -> None:
        """A request of ``tenant`` is in hand, until ``let_go``."""
        self._in_hand[tenant] += 1
        self._total += 1

    def let_go(self, tenant: str) -> None:
        """It is sent to Kafka, or answered without."""
        self._total -= 1
        self._in_hand[tenant] -= 1
        if not self._in_hand[tenant]:
            del self._in_hand[tenant]

    def begun(self, waited: float) -> None:
        """The work at a request began ``waited`` seconds after it was read."""
        self._begun += 1
        self._late += waited > TURN_SECONDS

    def finished(self) -> None:
        """A request is answered."""
        self._finished += 1
        self._last = self.clock()

    def _next_window(self, now: float) -> None:
        seconds = now - self._window_end + WINDOW_SECONDS
        exceeded = 2 * self._late > self._begun
        if exceeded or self._refused:
            done = self._finished + self._refused / _REFUSALS_FOR_A_REQUEST
            self._rate += _SMOOTHING * (done / seconds - self._rate)
        if not exceeded:
            self._exceeded_since = now
        # Once begun it goes on as long as there is something to refuse: that turns are short is then its own doing.
        # A single turn may be longer than the patience, and be a burst.
        lasts = exceeded and self._exceeded_before and now - self._exceeded_since >= PATIENCE_SECONDS
        self.shedding = lasts or (self.shedding and self._refused > 0)
        self._exceeded_before = exceeded
        self._window_end = now + WINDOW_SECONDS
        self._begun = self._late = self._finished = self._refused = 0
        self._tenants_before = len(self._tenants)
        self._tenants.clear()
