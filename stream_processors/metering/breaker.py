"""The rejection circuit breaker: a worker that cannot read its log stops, and does not empty the log into
usage.rejected.

*Poison* is a record of usage.events that cannot be read as a packed batch: only gateways and `admit` write there, so it
means a wrong version of Weir, or somebody else's hand. What is not poison: duplicates and conflicts (well read, and
decided); values that a profile cannot measure (the event counts, with the reason beside it); and whatever `admit`
refuses: an inbox is open to its producers, and one of them must not be able to stop everybody's metering. Those keep
their bytes, and `weir rejected replay` brings them back.

The breaker looks at a sliding count of records of one partition, those below the cursor included (`usage_batches` has
them; a void has a namespace there, poison none), so its verdict is a function of the log: a worker that is started
again, or another one, stops at the same record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.errors import WeirError

WINDOW: Final = 1_000
"""Records of a partition that the breaker looks back on."""


class Poisoned(WeirError):
    """Too much of the log cannot be read; the message says what to do. Nothing of the unit may be written."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Stop above ``percent`` of the last ``window`` records, once ``minimum`` of them are poison. Percent 100:
    never."""

    percent: int
    minimum: int
    window: int = WINDOW


class Breaker:
    """The last records of one partition, in order; ``history`` are those below the cursor, oldest first, True for
    poison."""

    def __init__(self, limits: Limits, history: Iterable[bool] = ()) -> None:
        self._limits = limits
        self._seen: deque[bool] = deque(history, maxlen=limits.window)
        self.poison = sum(self._seen)

    def see(self, poison: bool) -> bool:
        """Take the next record; True where the worker must stop before it. Good records never stop it."""
        if len(self._seen) == self._limits.window:
            self.poison -= self._seen[0]
        self._seen.append(poison)
        self.poison += poison
        limits = self._limits
        return poison and self.poison >= limits.minimum and self.poison * 100 > limits.percent * len(self._seen)

    def verdict(self, position: str, why: str) -> Poisoned:
        """What to tell whoever is called."""
        return Poisoned(
            f"{position}: {self.poison} of the last {len(self._seen)} records cannot be read as packed batches "
            f"({why[:200]}). "
            "Metering stops here: nothing from this record on is acknowledged or rejected. If this is the wrong "
            "version of "
            "Weir, start the right one. If the records are junk, let them pass into usage.rejected, with their "
            "bytes: start the "
            "worker with WEIR_POISON_PERCENT=100, and without it once the lag is gone"
        )
