"""A flush waits for its time, and no longer once enough waits for it."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from mode.utils.queues import FlowControlEvent

from stream_processors.fetching import flush_pause
from stream_processors.fetching.bounded import ByteQueue
from stream_processors.fetching.flush_pause import WaitingRecords


def buffer_of(records: WaitingRecords) -> ByteQueue:
    queue = ByteQueue(maxsize=1000, flow_control=FlowControlEvent(initially_suspended=False), clear_on_resume=True)
    queue.waiting = records
    records.watch(queue)
    return queue


def event(size: int) -> Any:
    return SimpleNamespace(message=SimpleNamespace(value=b"x" * size))


@pytest.mark.parametrize(("limit", "sizes"), [("ENOUGH_BYTES", [60, 60]), ("ENOUGH_RECORDS", [1] * 100)])
def test_the_wait_ends_once_enough_waits(monkeypatch: pytest.MonkeyPatch, limit: str, sizes: list[int]) -> None:
    monkeypatch.setattr(flush_pause, "ENOUGH_BYTES", 1000)
    monkeypatch.setattr(flush_pause, limit, 100)

    async def run() -> None:
        records = WaitingRecords()
        queue = buffer_of(records)
        flush = asyncio.ensure_future(records.wait_for_enough(3600))
        for size in sizes:
            await asyncio.sleep(0)
            assert not flush.done()
            queue.put_nowait(event(size))
        await asyncio.wait_for(flush, 20)
        await asyncio.wait_for(records.wait_for_enough(3600), 20)  # they wait still
        queue.clear()
        again = asyncio.ensure_future(records.wait_for_enough(3600))
        await asyncio.sleep(0)
        assert not again.done()
        again.cancel()

    asyncio.run(run())


def test_little_waits_until_its_time_is_over() -> None:
    async def run() -> None:
        records = WaitingRecords()
        buffer_of(records).put_nowait(event(1))
        assert records.rest(time.monotonic()) == 0
        flush = asyncio.ensure_future(records.wait_for_enough(0.01))
        await asyncio.sleep(0)
        assert 0 < records.rest(time.monotonic() - 1) <= 1.01
        await asyncio.wait_for(flush, 20)
        assert records.rest(time.monotonic() - 1) == 0

    asyncio.run(run())
