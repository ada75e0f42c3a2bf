"""Shares: no tenant and no key of one holds all places, lines are served in turn, and nothing is lost with a waiter
that goes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from schemas.http.shares import Busy, SharePlan, Shares


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def settled() -> None:
    """Until everything that can run has run."""
    for _ in range(20):
        await asyncio.sleep(0)


class Worker:
    """Holds a place until it is told to end."""

    def __init__(self, shares: Shares, tenant: str, key: str = "", cost: int = 1) -> None:
        self.working = False
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._work(shares, tenant, key, cost))

    async def _work(self, shares: Shares, tenant: str, key: str, cost: int) -> None:
        async with shares.turn(tenant, key, cost):
            self.working = True
            await self.end.wait()
        self.working = False


def test_a_tenant_leaves_places_to_others_and_a_key_to_the_keys_beside_it() -> None:
    async def check() -> None:
        shares = Shares(SharePlan(places=4, each=3, each_key=2, waiting=10, seconds=60), "questions")
        first_workers = [Worker(shares, "noisy", "k1") for _ in range(4)]
        second = [Worker(shares, "noisy", "k2") for _ in range(4)]
        await settled()
        assert [sum(worker.working for worker in group) for group in (first_workers, second)] == [2, 1]
        quiet = Worker(shares, "quiet")
        await settled()
        assert quiet.working
        for worker in (*first_workers, *second, quiet):
            worker.end.set()
        await asyncio.gather(*(worker.task for worker in (*first_workers, *second, quiet)))

    run(check())


def test_a_place_that_becomes_free_goes_to_the_lines_in_turn() -> None:
    async def check() -> None:
        shares = Shares(SharePlan(places=1, each=1, each_key=1, waiting=100, seconds=60), "questions")
        holder = Worker(shares, "noisy")
        await settled()
        noisy = [Worker(shares, "noisy") for _ in range(50)]
        await settled()
        quiet = Worker(shares, "quiet")
        await settled()
        holder.end.set()
        noisy[0].end.set()
        await settled()
        assert quiet.working, "fifty of another tenant came before it, and one of them had its turn"
        for worker in (*noisy, quiet):
            worker.end.set()
        await asyncio.gather(holder.task, quiet.task, *(worker.task for worker in noisy))

    run(check())


def test_a_full_line_is_refused_at_once_and_a_wait_ends() -> None:
    async def check() -> None:
        shares = Shares(SharePlan(places=1, each=1, each_key=1, waiting=1, seconds=60), "questions")
        holder, waiter = Worker(shares, "n"), Worker(shares, "n")
        await settled()
        with pytest.raises(Busy) as full:
            async with shares.turn("n"):
                pass
        assert (full.value.own, full.value.retry_after) == (True, 1)
        hurried = Shares(SharePlan(places=1, each=1, each_key=1, waiting=1, seconds=0), "questions")
        async with hurried.turn("n"):
            with pytest.raises(Busy) as late:
                async with hurried.turn("other"):
                    pass
        assert not late.value.own
        for worker in (holder, waiter):
            worker.end.set()
            await worker.task

    run(check())


def test_who_is_cancelled_in_line_or_at_work_leaves_nothing_behind() -> None:
    async def check() -> None:
        shares = Shares(SharePlan(places=1, each=1, each_key=1, waiting=10, seconds=60), "questions")
        holder, gone, last_value = (Worker(shares, tenant) for tenant in ("a", "b", "c"))
        await settled()
        gone.task.cancel()
        holder.task.cancel()
        await settled()
        assert last_value.working
        last_value.end.set()
        await last_value.task
        async with shares.turn("b"):
            pass

    run(check())


def test_room_is_shared_by_bytes() -> None:
    async def check() -> None:
        shares = Shares(SharePlan(places=100, each=60, each_key=60, waiting=10, seconds=60), "bodies")
        large, next_one = Worker(shares, "noisy", cost=50), Worker(shares, "noisy", cost=50)
        quiet = Worker(shares, "quiet", cost=50)
        await settled()
        assert (large.working, next_one.working, quiet.working) == (True, False, True)
        large.end.set()
        await settled()
        assert next_one.working
        for worker in (next_one, quiet):
            worker.end.set()
            await worker.task

    run(check())
