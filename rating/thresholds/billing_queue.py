"""Which subscriptions that have reached their threshold are billed next. Pure; ``now`` is the monotonic clock's
seconds.

Namespaces take turns, and none has two turns at once. After a turn that failed a namespace pauses, ever longer, and
has half as many subscriptions at once, down to the one that it is of, which is given up after some tries: until its
usage or terms change, or the next hourly look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

MOST_AT_ONCE: Final = 200
MOST_WAITING: Final = 100_000
"""Subscriptions of a namespace; those beyond are found again by the next look at them."""
TRIES: Final = 6
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 300.0
_LONG_AGO: Final = float("-inf")
"""Seconds of the monotonic clock, before any instant that it tells: a time, never an amount."""


@dataclass
class NamespaceTurns:
    """One namespace. ``waiting``: its subscriptions, in order; ``tries``: how often those failed that were alone."""

    waiting: dict[str, None] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    at_once: int = MOST_AT_ONCE
    failures: int = 0
    not_before: float = _LONG_AGO
    under_way: bool = False


class BillingQueue:
    """The subscriptions that wait, by namespace."""

    def __init__(self) -> None:
        self._turns: dict[str, NamespaceTurns] = {}  # in the order of their turns

    def __len__(self) -> int:
        return sum(len(turns.waiting) for turns in self._turns.values())

    def add(self, namespace: str, subscriptions: Iterable[str]) -> None:
        """Let them wait behind those that do."""
        waiting = self._turns.setdefault(namespace, NamespaceTurns()).waiting
        for subscription in subscriptions:
            if len(waiting) < MOST_WAITING:
                waiting.setdefault(subscription)

    def take(self, now: float) -> tuple[str, frozenset[str]] | None:
        """The next namespace and those of its subscriptions to bill, which no longer wait; None where nothing is due.
        Say ``done`` or ``failed`` after it."""
        for namespace, turns in self._turns.items():
            if turns.waiting and not turns.under_way and turns.not_before <= now:
                chosen = list(turns.waiting)[: turns.at_once]
                for subscription in chosen:
                    del turns.waiting[subscription]
                turns.under_way = True
                self._turns[namespace] = self._turns.pop(namespace)  # behind all others
                return namespace, frozenset(chosen)
        return None

    def seconds(self, now: float) -> float | None:
        """Until ``take`` gives something, if nothing is added and no turn ends before; None: it gives nothing."""
        pauses = [turns.not_before - now for turns in self._turns.values() if turns.waiting and not turns.under_way]
        return max(min(pauses), 0.0) if pauses else None

    def done(self, namespace: str, taken: Collection[str]) -> None:
        """Their turn went well."""
        turns = self._turns[namespace]
        turns.under_way, turns.failures, turns.not_before = False, 0, _LONG_AGO
        turns.at_once = min(turns.at_once * 2, MOST_AT_ONCE)
        for subscription in taken:
            turns.tries.pop(subscription, None)
        if not turns.waiting and not turns.tries:
            del self._turns[namespace]

    def failed(self, namespace: str, taken: Collection[str], now: float) -> bool:
        """Their turn failed, and they wait for another one. False: there was one, which is given up."""
        turns = self._turns[namespace]
        turns.under_way = False
        turns.failures += 1
        turns.not_before = now + min(_FIRST_PAUSE * 2 ** min(turns.failures - 1, 20), _LONGEST_PAUSE)
        turns.at_once = max(len(taken) // 2, 1)
        if len(taken) == 1:
            (subscription,) = taken
            turns.tries[subscription] = turns.tries.get(subscription, 0) + 1
            if turns.tries[subscription] >= TRIES:
                del turns.tries[subscription]
                turns.waiting.pop(subscription, None)
                if not turns.waiting and not turns.tries:
                    del self._turns[namespace]
                return False
        self.add(namespace, sorted(taken))
        return True
