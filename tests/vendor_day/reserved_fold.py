"""What reservations that were answered hold and have used, at its greatest. Pure; imports nothing of Weir's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Held:
    """``quantity`` held over [since, until): from its answer to its expiry or to the request that ended it; from then
    on ``used``."""

    since: datetime
    until: datetime
    quantity: int
    used: int


def peak(reservations: Iterable[Held]) -> int:
    """The most that was held and used at an instant. What ends at an instant frees room for what begins then."""
    changes = sorted(
        change
        for held in reservations
        for change in ((held.since, held.quantity), (max(held.until, held.since), held.used - held.quantity))
    )
    total = greatest = 0
    for _, change in changes:
        total += change
        greatest = max(greatest, total)
    return greatest
