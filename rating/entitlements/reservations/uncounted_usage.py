"""What was finalised and is not counted yet: it is held from the finalising until a cut has its events. Pure; of one
process.

A client's events are accepted before it finalises, so they lie below the ends that usage.events had at the finalising.
The quantity is held against every decision that rests on a cut which does not cover those ends, and against none that
does: it is never free in between, and never counted twice.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
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
    return all(offsets.get(partition, 0) >= end for partition, end in ends.items())


@dataclass(frozen=True, slots=True)
class Uncounted:
    """``quantity`` is held until a cut covers ``ends``, which are those of all before it, too."""

    quantity: Decimal
    ends: Offsets
    at_us: int


class UncountedUsage:
    """By account and feature, what was finalised and is not known to be counted by everybody."""

    def __init__(self) -> None:
        # What was added to last is last.
        self._held: OrderedDict[AccountFeature, deque[Uncounted]] = OrderedDict()
        self._counted: Offsets | None = None

    def state(self) -> list[tuple[AccountFeature, list[Uncounted]]]:
        """All of it, what was added to last last. It does not change any more."""
        return [(account_feature, list(of_feature)) for account_feature, of_feature in self._held.items()]

    def restore(self, account_feature: AccountFeature, uncounted: Iterable[Uncounted], counted: Offsets) -> None:
        """What was held of an account and feature, in the order of ``state``, but for what a cut at ``counted`` has."""
        if of_feature := deque(finalised for finalised in uncounted if not covers(counted, finalised.ends)):
            self._held[account_feature] = of_feature

    def __len__(self) -> int:
        """Accounts and features of which something is held."""
        return len(self._held)

    def add(self, account_feature: AccountFeature, quantity: Decimal, ends: Offsets, at_us: int) -> None:
        """So much was finalised at ``at_us`` (append time, microseconds UTC), when usage.events ended at ``ends``."""
        of_feature = self._held.setdefault(account_feature, deque())
        if of_feature:
            last = of_feature[-1]
            ends = {log: max(last.ends.get(log, 0), ends.get(log, 0)) for log in {*last.ends, *ends}}
            if at_us // TOGETHER_US <= last.at_us // TOGETHER_US or len(of_feature) >= MOST_APART:
                of_feature.pop()
                with exactly():
                    quantity += last.quantity
        of_feature.append(Uncounted(quantity, ends, at_us))
        self._held.move_to_end(account_feature)
        while self._counted is not None and covers(self._counted, of_feature[0].ends) and len(of_feature) > 1:
            of_feature.popleft()

    def beyond(self, account_feature: AccountFeature, offsets: Offsets) -> Iterator[Decimal]:
        """The quantities that a cut at ``offsets`` has not counted, the last first."""
        for finalised in reversed(self._held.get(account_feature, ())):
            if covers(offsets, finalised.ends):
                break  # so it has what came before
            yield finalised.quantity

    def drop(self, offsets: Offsets) -> None:
        """Forget what a cut at ``offsets`` has. Only once nobody decides by an earlier cut any more."""
        self._counted = offsets
        while self._held:
            account_feature, of_feature = next(iter(self._held.items()))
            if not covers(offsets, of_feature[-1].ends):
                break  # so are those that were added to later, or nearly all
            del self._held[account_feature]
