"""Runs blocking work in threads of its own that tenants share (``schemas.http.shares``), so that none waits behind
another's work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from schemas.http.shares import SharePlan, Shares

T = TypeVar("T")


class FairThreads:
    """As many threads as ``plan`` has places; ``what`` names the work in errors and threads."""

    def __init__(self, plan: SharePlan, what: str) -> None:
        self._shares = Shares(plan, what)
        self._threads = ThreadPoolExecutor(plan.places, thread_name_prefix=what.replace(" ", "-"))

    async def run(self, tenant: str, key: str, work: Callable[[], T]) -> T:
        """Run ``work`` and return its result. Raises what ``work`` raises, and Busy."""
        async with self._shares.turn(tenant, key):
            done = asyncio.get_running_loop().run_in_executor(self._threads, work)
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                # The client has disconnected. A running thread cannot be cancelled: it keeps its place.
                await asyncio.wait({done})
                raise

    def stop(self) -> None:
        """Cancel work that has not started."""
        self._threads.shutdown(wait=False, cancel_futures=True)
