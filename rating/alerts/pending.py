"""Which accounts are looked at next, and how many of a namespace at once. Pure; ``now`` is the monotonic clock's
seconds.

Namespaces have equal shares of the time: the one that has used least of late is next. Of each, as many accounts are
looked at at once as took about half a second before; where a look fails, fewer, down to one account, which is then
given up until its usage changes again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

FIRST_AT_ONCE: Final = 20
MOST_AT_ONCE: Final = 200
MOST_NAMED: Final = 4_000
"""Characters of the accounts of one look, whose names travel in queries' URLs."""
NEVER: Final = 2**63 - 1
"""Of an account whose usage has not changed."""
LONG_AGO: Final = float("-inf")
"""Seconds of the monotonic clock, before any instant that it tells: a time, never an amount."""
_LOOK_SECONDS: Final = 0.5
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_TRIES: Final = 3


@dataclass
class NamespaceQueue:
    """One namespace. ``accounts``: account → the earliest instant at which its usage changed (microseconds UTC, NEVER:
    it has not), in the order in which they were added; ``tries``: of accounts that failed alone."""

    accounts: dict[str, int] = field(default_factory=dict)
    at_once: int = FIRST_AT_ONCE
    used: float = 0.0
    failures: int = 0
    tries: dict[str, int] = field(default_factory=dict)
    not_before: float = LONG_AGO

    def due(self, now: float) -> bool:
        """Whether some of it may be looked at."""
        return bool(self.accounts) and self.not_before <= now


class PendingAccounts:
    """The accounts that wait for a look, by namespace."""

    def __init__(self) -> None:
        self._queues: dict[str, NamespaceQueue] = {}

    def __len__(self) -> int:
        return sum(len(queue.accounts) for queue in self._queues.values())

    def add(self, namespace: str, accounts: Mapping[str, int]) -> None:
        """Let them wait behind those that do. ``accounts``: as ``NamespaceQueue`` has them."""
        if not accounts:
            return
        queue = self._queues.setdefault(namespace, NamespaceQueue())
        if not queue.accounts:  # time that it did not use is not kept for it
            queue.used = max(queue.used, min((q.used for q in self._queues.values() if q.accounts), default=0.0))
        for account, first_us in accounts.items():
            queue.accounts[account] = min(first_us, queue.accounts.get(account, NEVER))

    def forget(self, namespace: str) -> None:
        """It has no rules any more."""
        self._queues.pop(namespace, None)

    def hold(self, namespace: str, until: float) -> None:
        """None of its accounts is looked at before an instant."""
        if (queue := self._queues.get(namespace)) is not None:
            queue.not_before = until

    def take(self, now: float) -> tuple[str, dict[str, int]] | None:
        """The next namespace and those of its accounts to look at, which no longer wait; None where nothing is due."""
        due = [(queue.used, name) for name, queue in self._queues.items() if queue.due(now)]
        if not due:
            return None
        _, name = min(due)
        queue = self._queues[name]
        taken: dict[str, int] = {}
        room = MOST_NAMED
        for account, first_us in queue.accounts.items():
            room -= len(account.encode())
            if taken and (len(taken) >= queue.at_once or room < 0):
                break
            taken[account] = first_us
        for account in taken:
            del queue.accounts[account]
        return name, taken

    def due(self, now: float) -> bool:
        """Whether ``take`` gives something."""
        return any(queue.due(now) for queue in self._queues.values())

    def done(self, namespace: str, taken: Collection[str], seconds: float) -> None:
        """A look at ``taken`` went well and took so long."""
        queue = self._queues.get(namespace)
        if queue is None:
            return
        queue.used += seconds
        queue.failures, queue.not_before = 0, LONG_AGO
        for account in taken:
            queue.tries.pop(account, None)
        if seconds > 2 * _LOOK_SECONDS:
            queue.at_once = max(queue.at_once // 2, 1)
        elif seconds < _LOOK_SECONDS and len(taken) >= queue.at_once:
            queue.at_once = min(queue.at_once * 2, MOST_AT_ONCE)

    def failed(self, namespace: str, taken: Mapping[str, int], seconds: float, now: float, permanent: bool) -> bool:
        """A look at ``taken`` failed; ``permanent``: looking again at the same gives the same. They wait again, after a
        pause and with fewer at once. False where it was one account, which is given up."""
        queue = self._queues.get(namespace)
        if queue is None:
            return True
        queue.used += seconds
        queue.failures += 1
        if len(taken) == 1:
            (account,) = taken
            tries = queue.tries[account] = queue.tries.get(account, 0) + 1
            if permanent or tries >= _TRIES:
                del queue.tries[account]
                queue.failures, queue.not_before = 0, LONG_AGO
                return False
        queue.at_once = max(len(taken) // 2, 1)
        if not permanent:
            queue.not_before = now + min(_FIRST_PAUSE * 2 ** (queue.failures - 1), _LONGEST_PAUSE)
        waiting = dict(taken)
        for account, first_us in queue.accounts.items():
            waiting[account] = min(first_us, waiting.get(account, NEVER))
        queue.accounts = waiting
        return True
