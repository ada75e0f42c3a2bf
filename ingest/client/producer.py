"""A producer with a queue in front of the client: events are queued at once and sent in batches by threads."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, Final, Literal, Self
from uuid import uuid4

import httpx

from ingest.client.buffer import Buffer, Waiting, after_refusal
from ingest.client.sync import Client
from ingest.client.wire import MAX_BATCH, GatewayUnavailable, SendError, item_of

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 30.0
Delivered = Callable[[str, SendError | None], None]  # called with the event's key, and the error or None


class QueueFull(SendError):
    """The queue is full; this event was not accepted."""


class Closed(SendError):
    """The producer is closed; this event was not accepted."""


class Producer:
    """Thread-safe producer. Close it, or use it as a context manager; queued events are sent before the interpreter
    exits.

    An event is accepted once its future has a result. A gateway that restarts or is killed in between costs time,
    not events, since every attempt carries the key that the event got when it was queued.

    ``max_queue``: maximum number of events that are queued or being sent. ``when_full``: "block" until there is
    room, or "raise" QueueFull. ``interval``: maximum seconds an event waits for its batch to fill. ``deadline``:
    seconds for one batch including retries, None for no limit. ``on_delivery`` is called once per event, in a
    sending thread, with its key and the error or None.
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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._client = Client(url, key, namespace, deadline=deadline, timeout=timeout, transport=transport)
        self._buffer: Buffer[Future[str]] = Buffer(batch=min(batch, MAX_BATCH), interval=interval)
        self._max_queue = max_queue
        self._when_full = when_full
        self._on_delivery = on_delivery
        self._new_key = new_key
        self._changed = threading.Condition()
        self._open: set[Future[str]] = set()  # events without a final result
        self._flushing = 0
        self._closed = False
        self._give_up = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"weir-producer-{number}", daemon=True) for number in range(senders)
        ]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of events without a final result."""
        return len(self._open)

    def produce(self, event: Mapping[str, Any], *, timeout: float | None = None) -> Future[str]:
        """Queue one event; it is serialised at once, so later changes to ``event`` have no effect.

        The future yields the event's key once it is accepted, or raises Refusal (with ``index``, and the path in
        ``problem``) or GatewayUnavailable. Raises QueueFull (at once, or after ``timeout`` seconds of blocking),
        Closed, and TypeError for a value that JSON cannot represent.
        """
        item = item_of(event, self._new_key)
        future: Future[str] = Future()
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout if self._when_full == "block" else 0):
                raise QueueFull(f"{len(self)} events wait already; flush, or produce more slowly")
            if self._closed:
                raise Closed("the producer is closed")
            self._open.add(future)
            self._buffer.add(item, future, time.monotonic())
            self._changed.notify_all()
        return future

    def flush(self, timeout: float | None = None) -> int:
        """Send what is queued and wait until all of it has a final result; returns the number of events without one
        after ``timeout`` seconds."""
        with self._changed:
            now = frozenset(self._open)
            self._flushing += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: now.isdisjoint(self._open), timeout)
                return len(now & self._open)
            finally:
                self._flushing -= 1

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Accept no more events, flush, and stop. Events without a result by then fail with GatewayUnavailable,
        which is logged."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        atexit.unregister(self.close)
        left = self.flush(timeout)
        self._give_up.set()
        if left:
            log.error("%d events were not accepted before the producer closed", left)
        with self._changed:
            waiting: list[Waiting[Future[str]]] = []
            while batch := self._buffer.take():
                waiting += batch
            self._changed.notify_all()
        self._decide(waiting, GatewayUnavailable("the producer was closed", [event.item.key for event in waiting]))
        for thread in self._threads:
            thread.join(5.0)
        self._client.close()

    def _has_room(self) -> bool:
        return self._closed or len(self) < self._max_queue

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._send(batch)
            except Exception as error:  # a bug in this library: report it through the events' futures
                log.exception("a batch could not be sent")
                self._decide(batch, SendError(f"{type(error).__name__}: {error}"))

    def _next(self) -> list[Waiting[Future[str]]] | None:
        """The next batch once it is due; None when the producer has ended."""
        with self._changed:
            while True:
                due = self._buffer.due_in(time.monotonic())
                if due == 0.0 or (due is not None and (self._flushing or self._closed)):
                    return self._buffer.take()
                if self._give_up.is_set() or (self._closed and due is None):
                    return None
                self._changed.wait(due)

    def _send(self, batch: list[Waiting[Future[str]]]) -> None:
        todo = [batch]
        while todo:
            part = todo.pop()
            try:
                result = self._client.deliver([event.item for event in part], give_up=self._give_up)
            except GatewayUnavailable as error:
                self._decide(part, error)
                continue
            if result.refusal is None:
                self._decide(part, None)
                continue
            verdict = after_refusal(part, result.refusal)
            self._decide(verdict.refused, result.refusal)
            todo += verdict.again

    def _decide(self, events: Sequence[Waiting[Future[str]]], error: SendError | None) -> None:
        for event in events:
            try:
                if error is None:
                    event.ticket.set_result(event.item.key)
                else:
                    event.ticket.set_exception(error)
            except InvalidStateError:  # cancelled by the caller; the event was sent nevertheless
                if not event.ticket.cancelled():
                    continue
            call_back(self._on_delivery, event.item.key, error)
        with self._changed:
            self._open.difference_update([event.ticket for event in events])
            self._changed.notify_all()


def call_back(on_delivery: Delivered | None, key: str, error: SendError | None) -> None:
    """Report one event's result to ``on_delivery``. An exception of the callback is logged and ignored."""
    if on_delivery is not None:
        try:
            on_delivery(key, error)
        except Exception:
            log.exception("on_delivery failed")
