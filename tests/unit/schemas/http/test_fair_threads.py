"""Blocking work that tenants share threads for: none waits behind all of another's, and what has begun is finished."""

from __future__ import annotations

import asyncio
import threading

import pytest

from schemas.http.fair_threads import FairThreads
from schemas.http.shares import Busy, SharePlan

PLAN = SharePlan(places=2, each=1, each_key=1, waiting=2, seconds=30.0)


def test_a_tenant_with_much_work_leaves_a_thread_for_others_and_is_told_when_it_has_enough_in_line() -> None:
    go_on = threading.Event()

    async def run() -> None:
        threads = FairThreads(PLAN, "calculations")
        noisy = [asyncio.create_task(threads.run("noisy", "k", go_on.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        assert await threads.run("quiet", "k", lambda: 7) == 7
        with pytest.raises(Busy, match="2 calculations of this key wait already"):
            await threads.run("noisy", "k", go_on.wait)
        go_on.set()
        assert await asyncio.gather(*noisy) == [True] * 3
        threads.stop()

    asyncio.run(run())


def test_work_whose_client_has_gone_is_carried_through_and_keeps_its_place() -> None:
    begun, go_on, finished = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()
        finished.set()

    async def run() -> None:
        threads = FairThreads(PLAN, "changes")
        task = asyncio.create_task(threads.run("t", "k", work))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        following = asyncio.create_task(threads.run("t", "k", finished.is_set))
        await asyncio.sleep(0)
        assert not following.done()
        go_on.set()
        assert await following is True
        with pytest.raises(asyncio.CancelledError):
            await task
        threads.stop()

    asyncio.run(run())


def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise LookupError("no such invoice")

    with pytest.raises(LookupError):
        asyncio.run(FairThreads(PLAN, "changes").run("t", "k", work))
