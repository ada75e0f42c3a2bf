"""Books of events for a page that is looked at often: counting them reads every event of the namespace that came since
the last time, and at first all of them.

What is counted quickly is counted each time. Else the page shows the last count and when it was; it is counted again
behind a page once twenty times as long has passed as it took, so that it takes a twentieth of the time at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.books import COUNTED, EventBooks, read_books
from rating.partition_counts import PartitionCounts

QUICK_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 300.0
"""An older count is not shown."""
_SHARE: Final = 20
_NAMESPACES: Final = 1_000


@dataclass(frozen=True, slots=True)
class HeldCount:
    """Books as they were ``at``; ``seconds``: how long counting took; ``counted``: when it began, of a monotonic
    clock."""

    books: EventBooks
    at: datetime
    seconds: float
    counted: float


class HeldBooks:
    """The last count of each namespace, for those counted last. ``event_counts``: what a count keeps for the next one;
    ``clock``: monotonic seconds. Use it from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.event_counts = PartitionCounts(COUNTED)
        self._clock = clock
        self._counts: dict[str, HeldCount] = {}
        self._counting: set[str] = set()

    def shown(self, namespace: str) -> HeldCount | None:
        """The last count, where it may be shown; None: count."""
        count = self._counts.get(namespace)
        if count is None or count.seconds < QUICK_SECONDS or self._clock() - count.counted > LONGEST_SECONDS:
            return None
        return count

    def due(self, namespace: str, count: HeldCount) -> bool:
        """Whether it is time to count again behind the page that shows it; says so once a count."""
        due = self._clock() - count.counted > _SHARE * count.seconds and namespace not in self._counting
        if due:
            self._counting.add(namespace)
        return due

    def count(self, client: Client, namespace: str, at: datetime) -> HeldCount:
        """Count now. Blocking."""
        began = self._clock()
        try:
            books = read_books(client, namespace, self.event_counts)
        finally:
            self._counting.discard(namespace)
        count = HeldCount(books, at, self._clock() - began, began)
        self._counts.pop(namespace, None)
        self._counts[namespace] = count
        while len(self._counts) > _NAMESPACES:
            self._counts.pop(next(iter(self._counts)), None)
        return count
