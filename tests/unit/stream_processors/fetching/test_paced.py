"""Requests to Kafka leave at a pace, and a waiting one ends as one that waits at the broker. Fails where aiokafka
changes underneath."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import aiokafka.consumer.consumer as consumer
import pytest

from schemas.settings import Settings
from stream_processors.fetching.flush_pause import ENOUGH_BYTES, WaitingRecords
from stream_processors.fetching.paced import LEAD, REQUESTS_A_FLUSH, pace_fetches

PACE = 1.0 / REQUESTS_A_FLUSH
NODE, OTHER_NODE = 1, 2
METERED, WAITING = "usage.events.1", WaitingRecords()
REVOKED = SimpleNamespace(active=False)  # so that answers need no content


class VirtualWait(selectors.DefaultSelector):
    """Waits in no time: a clock goes on instead."""

    now = 100.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock stands still but for what is waited for, which takes no time."""

    def __init__(self) -> None:
        self._wait = VirtualWait()
        super().__init__(self._wait)

    def time(self) -> float:
        return self._wait.now


class Requests:
    """A fetcher as the worker's consumers have it, and when its requests left: (node, seconds since the first)."""

    def __init__(self) -> None:
        self.left: list[tuple[int, float]] = []
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        client = SimpleNamespace(_loop=self.loop, _metadata_max_age_ms=1000, send=self._send)
        subscriptions = SimpleNamespace(
            register_fetch_waiters=lambda waiters: None, subscription=None, wait_for_assignment=self.loop.create_future
        )
        self.fetcher = consumer.Fetcher(client, subscriptions)

    async def _send(self, node: int, request: object) -> None:
        self.left.append((node, round(self.loop.time() - self.began, 6)))

    async def ask(self, node: int, topic: str = "usage.invoices") -> bool:
        request = SimpleNamespace(topics=[(topic, [])])
        return bool(await self.fetcher._proc_fetch_request(REVOKED, node, request))


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "Fetcher", consumer.Fetcher)
    pace_fetches(Settings(flush_seconds=1.0), METERED, WAITING)


def run(course: Callable[[Requests], Awaitable[None]]) -> list[tuple[int, float]]:
    async def whole() -> list[tuple[int, float]]:
        requests = Requests()
        await course(requests)
        await requests.fetcher.close()
        return requests.left

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(whole())


def test_requests_to_a_broker_leave_at_a_pace_and_after_a_pause_at_once() -> None:
    async def course(requests: Requests) -> None:
        for node in (NODE, NODE, OTHER_NODE, NODE):
            await requests.ask(node)
        await asyncio.sleep(1.0)
        await requests.ask(NODE)

    assert run(course) == [(NODE, 0.0), (NODE, PACE), (OTHER_NODE, PACE), (NODE, 2 * PACE), (NODE, 1.0 + 2 * PACE)]


def test_a_request_that_waits_when_its_partitions_are_revoked_never_leaves() -> None:
    async def course(requests: Requests) -> None:
        await requests.ask(NODE)
        waiting = asyncio.ensure_future(requests.ask(NODE))
        await asyncio.sleep(PACE / 2)
        waiting.cancel()
        assert await waiting is False  # aiokafka awaits it as it closes

    assert run(course) == [(NODE, 0.0)]


def test_consumers_are_made_with_this_fetcher() -> None:
    start: Any = consumer.AIOKafkaConsumer.start
    assert "Fetcher" in start.__code__.co_names
    assert start.__globals__["Fetcher"].pace_seconds == PACE


@pytest.mark.parametrize(("waiting_bytes", "first"), [(0, 5.0 - LEAD), (ENOUGH_BYTES // 8, 0.0)])
def test_while_little_comes_what_is_metered_is_asked_for_just_before_the_next_flush(
    monkeypatch: pytest.MonkeyPatch, waiting_bytes: int, first: float
) -> None:
    waiting = WaitingRecords()
    waiting.watch(cast("Any", SimpleNamespace(waiting_bytes=waiting_bytes, qsize=lambda: 1)))
    monkeypatch.setattr(waiting, "_due", VirtualWait.now + 5.0)
    pace_fetches(Settings(flush_seconds=1.0), METERED, waiting)

    async def course(requests: Requests) -> None:
        await requests.ask(OTHER_NODE)
        await asyncio.gather(requests.ask(OTHER_NODE), requests.ask(NODE, METERED))
        await requests.ask(NODE, METERED)  # the flush is due: no more is known than the pace

    assert run(course) == sorted(
        [(OTHER_NODE, 0.0), (OTHER_NODE, PACE), (NODE, first), (NODE, first + PACE)], key=lambda request: request[1]
    )
