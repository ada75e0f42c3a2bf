"""When limits restart that have passed a threshold: accounts are looked at then, though nothing is used. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Final

from rating.alerts.pending import NEVER

MOST_RESETS: Final = 100_000
"""Further ones are seen by the look of every hour."""


class Resets:
    """Of all namespaces. Instants: microseconds UTC."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], int] = {}
        self._heap: list[tuple[int, str, str]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def note(self, namespace: str, resets: Mapping[str, int]) -> None:
        """``resets``: account → its next one."""
        for account_id, resets_us in resets.items():
            account = namespace, account_id
            if len(self._heap) < MOST_RESETS and resets_us < self._first.get(account, NEVER):
                self._first[account] = resets_us
                heapq.heappush(self._heap, (resets_us, *account))

    def due(self, now_us: int) -> dict[str, dict[str, int]]:
        """Those that have come: namespace → account → NEVER, since no usage changed."""
        accounts: dict[str, dict[str, int]] = {}
        while self._heap and self._heap[0][0] <= now_us:
            resets_us, namespace, account_id = heapq.heappop(self._heap)
            if self._first.get((namespace, account_id)) == resets_us:
                del self._first[namespace, account_id]
            accounts.setdefault(namespace, {})[account_id] = NEVER
        return accounts
