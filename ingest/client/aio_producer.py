"""An asyncio producer with a queue in front of the client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self
from uuid import uuid4

import httpx

from ingest.client.aio import AsyncClient
from ingest.client.buffer import Buffer, Waiting, after_refusal
from ingest.client.producer import CLOSE_SECONDS, Closed, Delivered, QueueFull, call_back
from ingest.client.wire import MAX_BATCH, GatewayUnavailable, SendError, item_of

log = logging.getLogger(__name__)


class AsyncProducer:
    """Producer for one event loop; use it as an async context manager, or ``close`` it, which sends what is queued.

    Arguments and guarantees as for ``Producer``; ``on_delivery`` is called on the loop.
    """

    def __init__(
        self,
        url: str,
        key: str,
        namespace: str | None = None,
        *,
        max_queue: int = 10_000,
        when_full: Literal["block", "raise"] = "block",
        batch: int = MAX_BATCH,
        interval: float = 0.2,
        senders: int = 2,
        deadline: float | None = 300.0,
        timeout: float = 15.0,
        on_delivery: Delivered | None = None,
        new_key: Callable[[], str] = lambda: uuid4().hex,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = AsyncClient(url, key, namespace, deadline=deadline, timeout=timeout, transport=transport)
        self._buffer: Buffer[asyncio.Future[str]] = Buffer(batch=min(batch, MAX_BATCH), interval=interval)
        self._max_queue = max_queue
        self._when_full = when_full
        self._on_delivery = on_delivery
        self._new_key = new_key
        self._changed = asyncio.Condition()
        self._open: set[asyncio.Future[str]] = set()  # events without a final result
        self._flushing = 0
        self._closed = False
        self._senders = senders
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __len__(self) -> int:
        """Number of events without a final result."""
        return len(self._open)

    async def produce(self, event: Mapping[str, Any]) -> asyncio.Future[str]:
        """Queue one event. The future yields its key once it is accepted, or raises Refusal or GatewayUnavailable.

        Waits for room in the queue, or raises QueueFull. Raises Closed, and TypeError for a value that JSON cannot
        represent.
        """
        item = item_of(event, self._new_key)
        self._start()
        async with self._changed:
            if self._when_full == "block":
                await self._changed.wait_for(self._has_room)
            if self._closed:
                raise Closed("the producer is closed")
            if not self._has_room():
                raise QueueFull(f"{len(self)} events wait already; flush, or produce more slowly")
            future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_looked_at)
            self._open.add(future)
            self._buffer.add(item, future, time.monotonic())
            self._changed.notify_all()
        return future

    async def flush(self) -> None:
        """Send what is queued, and wait until all of it has a final result."""
        async with self._changed:
            now = frozenset(self._open)
            self._flushing += 1
            self._changed.notify_all()
            try:
                await self._changed.wait_for(lambda: now.isdisjoint(self._open))
            finally:
                self._flushing -= 1

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:  # noqa: ASYNC109 - the same word as Producer.close
        """Accept no more events, flush, and stop. Events without a result by then fail with GatewayUnavailable,
        which is logged."""
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.wait_for(self.flush(), timeout)
        except TimeoutError:
            log.error("%d events were not accepted before the producer closed", len(self))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while waiting := self._buffer.take():
            self._decide(waiting, GatewayUnavailable("the producer was closed", [event.item.key for event in waiting]))
        await self._client.close()

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run()) for _ in range(self._senders)]

    def _has_room(self) -> bool:
        return self._closed or len(self) < self._max_queue

    async def _run(self) -> None:
        while True:
            batch = await self._next()
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                self._decide(batch, GatewayUnavailable("the producer was closed", [event.item.key for event in batch]))
                raise
            except Exception as error:  # a bug in this library: report it through the events' futures
                log.exception("a batch could not be sent")
                self._decide(batch, SendError(f"{type(error).__name__}: {error}"))
            async with self._changed:
                self._changed.notify_all()

    async def _next(self) -> list[Waiting[asyncio.Future[str]]]:
        async with self._changed:
            while True:
                due = self._buffer.due_in(time.monotonic())
                if due == 0.0 or (due is not None and (self._flushing or self._closed)):
                    return self._buffer.take()
                try:
                    await asyncio.wait_for(self._changed.wait(), due)
                except TimeoutError:
                    continue

    async def _send(self, batch: list[Waiting[asyncio.Future[str]]]) -> None:
        todo = [batch]
        while todo:
            part = todo.pop()
            try:
                result = await self._client.deliver([event.item for event in part])
            except GatewayUnavailable as error:
                self._decide(part, error)
                continue
            if result.refusal is None:
                self._decide(part, None)
                continue
            verdict = after_refusal(part, result.refusal)
            self._decide(verdict.refused, result.refusal)
            todo += verdict.again

    def _decide(self, events: Sequence[Waiting[asyncio.Future[str]]], error: SendError | None) -> None:
        for event in events:
            if event.ticket.cancelled():  # by the caller; the event was sent nevertheless
                pass
            elif event.ticket.done():
                continue
            elif error is None:
                event.ticket.set_result(event.item.key)
            else:
                event.ticket.set_exception(error)
            call_back(self._on_delivery, event.item.key, error)
        self._open.difference_update([event.ticket for event in events])


def _looked_at(future: asyncio.Future[str]) -> None:
    # Retrieves the exception, so that asyncio does not warn about callers that only use the callback.
    if not future.cancelled():
        future.exception()
