"""Circuit breaker of rejections: a worker that cannot decode its log stops instead of moving the whole log to
usage.rejected.

*Poison* is a record of usage.events that cannot be decoded as a packed batch. Only gateways and `admit` write to
that topic, so poison means a wrong version of Weir or a foreign writer. Not poison: duplicates and conflicts
(decoded and decided), values that a profile cannot measure (the event counts and the reason is stored), and
whatever `admit` refuses. An inbox is open to its producers, and one of them must not be able to stop metering for
everybody. Rejections keep their bytes, and `weir rejected replay` processes them again.

The breaker counts poison in a sliding window of one partition's records, including records below the cursor (stored
in usage_batches, where poison has an empty namespace and a void does not). Its verdict is therefore a function of
the log: a restarted worker, or another one, stops at the same record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.errors import WeirError

WINDOW: Final = 1_000
"""Length of the sliding window, in records of one partition."""


class Poisoned(WeirError):
    """Too much of the log cannot be decoded; the message states the remedy. Nothing of the current unit may be
    written."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Stop if more than ``percent`` of the last ``window`` records, and at least ``minimum`` of them, are poison.
    100 percent: never stop."""

    percent: int
    minimum: int
    window: int = WINDOW


class Breaker:
    """Sliding window over one partition's records. ``history``: the records below the cursor, oldest first, True
    for poison."""

    def __init__(self, limits: BreakerLimits, history: Iterable[bool] = ()) -> None:
        self._limits = limits
        self._seen: deque[bool] = deque(history, maxlen=limits.window)
        self.poison = sum(self._seen)

    def see(self, poison: bool) -> bool:
        """Add the next record. True if the worker must stop before it; only poison can cause that."""
        if len(self._seen) == self._limits.window:
            self.poison -= self._seen[0]
        self._seen.append(poison)
        self.poison += poison
        limits = self._limits
        return poison and self.poison >= limits.minimum and self.poison * 100 > limits.percent * len(self._seen)

    def verdict(self, position: str, why: str) -> Poisoned:
        """The error to raise, with instructions for an operator."""
        return Poisoned(
            f"{position}: {self.poison} of the last {len(self._seen)} records cannot be read as packed batches "
            f"({why[:200]}). "
            "Metering stops here: nothing from this record on is acknowledged or rejected. If this is the wrong "
            "version of "
            "Weir, start the right one. If the records are junk, let them pass into usage.rejected, with their "
            "bytes: start the "
            "worker with WEIR_POISON_PERCENT=100, and without it once the lag is gone"
        )
