"""Thread pools for the catalog API's work, one per kind of work and shared fairly by namespaces, so that no
namespace waits behind another's documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ingest.catalog.catalog_problems import Caller
from ingest.http.gateway_problems import of_busy
from ingest.http.loop_throttle import LoopThrottle
from schemas.http.fair_threads import FairThreads
from schemas.http.shares import Busy, SharePlan

T = TypeVar("T")

DOCUMENTS: Final = SharePlan(places=2, each=1, each_key=1, waiting=4, seconds=60.0)
ENTRIES: Final = SharePlan(places=4, each=1, each_key=1, waiting=200, seconds=20.0)
PAGES: Final = SharePlan(places=4, each=2, each_key=2, waiting=100, seconds=20.0)
KEYS: Final = SharePlan(places=4, each=2, each_key=2, waiting=100, seconds=20.0)


class FairPool:
    """Runs blocking work in a thread pool, shared out as ``plan`` says."""

    def __init__(self, plan: SharePlan, what: str, throttle: LoopThrottle) -> None:
        self._threads = FairThreads(plan, what)
        self._throttle = throttle

    async def run(self, caller: Caller, work: Callable[[], T]) -> T:
        """Run ``work`` and return its result. Raises what ``work`` raises, Problem 429 if the namespace has too
        much queued, and 503 if no thread becomes free in time."""
        try:
            return await self._threads.run(caller.namespace, "", lambda: self._worked(work))
        except Busy as busy:
            raise of_busy(busy) from None

    def _worked(self, work: Callable[[], T]) -> T:
        with self._throttle.working():
            return work()

    def stop(self) -> None:
        """Cancel work that has not started."""
        self._threads.stop()
