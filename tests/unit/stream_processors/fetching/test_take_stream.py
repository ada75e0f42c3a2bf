"""Takes of several events: complete, in order, at most so many at once, and nothing is done while none comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import Message as KafkaMessage

from stream_processors.fetching.take_stream import TakeStream

WITHIN = 0.01


class Takes:
    """A stream of an app that is not started, and what was taken from it."""

    def __init__(self, most: int) -> None:
        self.app = faust.App(
            "takes", store="memory://", broker="aiokafka://nowhere", Stream=TakeStream, autodiscover=False
        )
        self.app.flow_control.resume()
        self.app._consumer = SimpleNamespace(_unacked_messages=set())  # type: ignore[assignment]  # all that a stream asks of it
        self.channel = self.app.channel(value_type=bytes)
        self.stream: Any = self.channel.stream()
        self.most = most
        self.taken: list[list[bytes]] = []
        self.changed = asyncio.Event()
        self.looked = 0

    async def run(self) -> None:
        wait = self.stream.wait_for_stopped

        async def counted(*arguments: Any, **more: Any) -> bool:
            self.looked += 1
            return bool(await wait(*arguments, **more))

        self.stream.wait_for_stopped = counted
        async for events in self.stream.noack_take(self.most, within=WITHIN):
            self.taken.append([event.value for event in events])
            self.changed.set()

    async def send(self, *values: bytes) -> None:
        no_key: Any = None
        for value in values:
            message: Any = KafkaMessage("t", 0, 0, 0.0, 0, {}, None, value, None)
            message.generation_id = self.app.consumer_generation_id
            await self.channel.put(self.app.create_event(no_key, value, {}, message))

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 10)


def run(most: int, what: Callable[[Takes], Coroutine[Any, Any, None]]) -> Takes:
    async def main() -> Takes:
        takes = Takes(most)
        task = asyncio.create_task(takes.run())
        try:
            await what(takes)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return takes

    return asyncio.run(main())


def test_nothing_is_done_while_no_event_comes() -> None:
    async def idle(takes: Takes) -> None:
        await asyncio.wait({asyncio.ensure_future(takes.changed.wait())}, timeout=20 * WITHIN)

    assert run(10, idle).looked == 1


@pytest.mark.parametrize("most", [1, 3, 100])
def test_all_events_are_taken_in_order_and_at_most_so_many_at_once(most: int) -> None:
    values = [str(number).encode() for number in range(25)]

    async def send(takes: Takes) -> None:
        await takes.send(*values[:1])
        await takes.until(lambda: bool(takes.taken))
        await takes.send(*values[1:])
        await takes.until(lambda: sum(map(len, takes.taken)) == len(values))

    taken = run(most, send).taken
    assert [value for take in taken for value in take] == values
    assert max(map(len, taken)) <= most
