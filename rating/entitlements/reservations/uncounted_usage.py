"""What was finalised and is not counted yet: it is held from the finalising until a cut has its events. Pure; of one
process.

A client's events are accepted before it finalises, so they lie below the ends that usage.events had at the finalising.
The quantity is held against every decision that rests on a cut which does not cover those ends, and against none that
does: it is never free in between, and never counted twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rating.pricing.exact import exactly
from schemas.ledgers.generations import Offsets

TOGETHER_US: Final = 100_000
"""What is finalised within it is counted together, when all of it is."""
MOST_APART: Final = 2_000
"""Of an account and feature so many are told apart; beyond, the last ones are counted together."""
AccountFeature = tuple[str, str, str]
"""(namespace, account, feature)"""


def covers(offsets: Offsets, ends: Offsets) -> bool:
    """Whether a cut at ``offsets`` has all below ``ends``."""
    return all(offsets.get(place, 0) >= end for place, end in ends.items())


@dataclass(frozen=True, slots=True)
class _Uncounted:
    """``quantity`` is held until a cut covers ``ends``, which are those of all before it, too."""

    quantity: Decimal
    ends: Offsets
    at_us: int


class UncountedUsage:
    """By account and feature, what was finalised and is not known to be counted by everybody."""

    def __init__(self) -> None:
        self._held: dict[AccountFeature, deque[_Uncounted]] = {}

    def __len__(self) -> int:
        """Accounts and features of which something is held."""
        return len(self._held)

    def add(self, place: AccountFeature, quantity: Decimal, ends: Offsets, at_us: int) -> None:
        """So much was finalised at ``at_us`` (append time, microseconds UTC), when usage.events ended at ``ends``."""
        of_place = self._held.setdefault(place, deque())
        if of_place:
            last = of_place[-1]
            ends = {log: max(last.ends.get(log, 0), ends.get(log, 0)) for log in {*last.ends, *ends}}
            if at_us // TOGETHER_US <= last.at_us // TOGETHER_US or len(of_place) >= MOST_APART:
                of_place.pop()
                with exactly():
                    quantity += last.quantity
        of_place.append(_Uncounted(quantity, ends, at_us))

    def beyond(self, place: AccountFeature, offsets: Offsets) -> Iterator[Decimal]:
        """The quantities that a cut at ``offsets`` has not counted, the last first."""
        for each in reversed(self._held.get(place, ())):
            if covers(offsets, each.ends):
                break  # so it has what came before
            yield each.quantity

    def drop(self, offsets: Offsets) -> None:
        """Forget what a cut at ``offsets`` has. Only once nobody decides by an earlier cut any more."""
        for place, of_place in tuple(self._held.items()):
            while of_place and covers(offsets, of_place[0].ends):
                of_place.popleft()
            if not of_place:
                del self._held[place]
