"""Sends accepted events to Kafka and completes requests by the broker's delivery reports; ensures DESIGN invariant
1."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.delivery.loop_producer import LoopProducer
from ingest.delivery.packing import LINGER, Packed, Packer
from ingest.gateway_metrics import GatewayMetrics
from schemas.errors import WeirError
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import join_parts
from schemas.kafka.codec import CodecError
from schemas.kafka.limits import PACKED_BYTES
from schemas.kafka.topics import events_topic, generation_of
from schemas.ledgers.generations import Generation, GenerationState
from schemas.usage_log.acknowledged import Acknowledged

MAX_BYTES_IN_FLIGHT: Final = 256 * 1024 * 1024
_LITTLE: Final = 16  # a namespace with less than this fraction of the limit in flight may exceed it


@dataclass(frozen=True, slots=True)
class Route:
    """The topic that accepts events, its number of partitions, and the bytes up to which batches for it are packed."""

    topic: str
    partitions: int
    packed_bytes: int = PACKED_BYTES


def route_of(
    state: GenerationState, configured: Generation, packed_bytes: Callable[[str], int] = lambda topic: PACKED_BYTES
) -> Route | None:
    """The route for events, None while the generation is being replaced. ``configured``: the generation in the
    settings, with its partitions; ``packed_bytes``: of a topic, see Route."""
    generation = state.writable(configured.number)
    if generation is None:
        return None
    topic = events_topic(generation.number)
    return Route(topic, generation.partitions or configured.partitions or 1, packed_bytes(topic))


class NotDelivered(WeirError):
    """Some or all events of a request may not be in Kafka; a retry with the same keys is safe."""


class Request:
    """The events of one request in flight: complete when every packed batch that contains one of them is reported."""

    __slots__ = ("error", "future", "parts")

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future
        self.parts = 0
        self.error: str | None = None

    def report(self, error: str | None) -> None:
        """Take the report for one of its batches: None if it is in Kafka, else the error."""
        self.parts -= 1
        self.error = self.error or error
        # Waits for the last batch even after a failure: no response may be sent while a batch is still in flight.
        if self.parts == 0 and not self.future.done():
            if self.error is None:
                self.future.set_result(None)
            else:
                self.future.set_exception(NotDelivered(self.error))


class Delivery:
    """Packs, encodes and produces events; all calls belong to one event loop."""

    def __init__(
        self,
        producer: LoopProducer,
        route: Callable[[], Route | None],
        metrics: GatewayMetrics,
        *,
        max_events: int = 50_000,
        clock: Callable[[], float] = time.monotonic,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._producer = producer
        self._ask_route = route
        self._route: Route | None = None
        self._packer: Packer[Request] = Packer(1)
        self._metrics = metrics
        self._clock = clock
        self._acknowledged = acknowledged
        self._max_events = max_events
        self._timer: asyncio.TimerHandle | None = None
        self._events = 0
        self._waiting: Counter[str] = Counter()
        self._bytes = 0
        self._closed = False
        metrics.events_in_flight.set_function(lambda: self._events)

    def send(self, namespace: str, catalog_offset: int, events: Sequence[AcceptedEvent]) -> asyncio.Future[None]:
        """Send events; the future is done when all are in Kafka, or raises NotDelivered.

        Raises NotDelivered at once, having accepted nothing, if too much is in flight or the process is stopping.
        """
        if self._closed:
            raise NotDelivered("this gateway is stopping")
        if self._producer.fatal is not None:
            raise NotDelivered(f"the producer has failed: {self._producer.fatal}")
        route = self._ask_route()
        if route is None:
            raise NotDelivered("usage.events is being moved to another number of partitions")
        if route != self._route:
            self._switch(route)
        if self._full(namespace, len(events)):
            raise NotDelivered(f"{self._events} events wait for Kafka already")
        request = Request(self._loop.create_future())
        self._events += len(events)
        self._waiting[namespace] += len(events)
        request.parts, closed = self._packer.add(namespace, catalog_offset, events, request, self._clock())
        for batch in closed:
            self._produce(batch)
        due = self._packer.next_due()
        if self._timer is None and due is not None:
            self._timer = self._loop.call_later(max(0.0, due - self._clock()), self._linger_ended)
        return request.future

    def _full(self, namespace: str, new_events: int) -> bool:
        """Whether new events must be refused. Beyond the limit a namespace with little in flight is still accepted,
        since it did not cause the congestion."""
        events = self._events + new_events
        if events <= self._max_events and self._bytes <= MAX_BYTES_IN_FLIGHT:
            return False
        little = self._waiting[namespace] + new_events <= self._max_events // _LITTLE
        return not little or events > 2 * self._max_events or self._bytes > 2 * MAX_BYTES_IN_FLIGHT

    def _switch(self, route: Route) -> None:
        # Open batches go to the topic they were packed for; if it is sealed it refuses them, and their senders retry.
        for batch in self._packer.close_all():
            self._produce(batch)
        self._route, self._packer = route, Packer(route.partitions, max_bytes=route.packed_bytes)

    async def close(self) -> None:
        """Accept nothing more and produce the open batches; the producer's ``close`` then waits for their reports."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for batch in self._packer.close_all():
            self._produce(batch)

    def _linger_ended(self) -> None:
        # Younger batches leave with the one that is due: one request to Kafka, where it was one for each partition.
        # None stays open, as none lingers longer.
        self._timer = None
        for batch in self._packer.close_due(self._clock() + LINGER):
            self._produce(batch)

    def _produce(self, batch: Packed[Request]) -> None:
        self._bytes += batch.size
        assert self._route is not None, "packed for a route"

        def done(error: str | None) -> None:
            self._events -= batch.count
            self._waiting[batch.namespace] -= batch.count
            if not self._waiting[batch.namespace]:
                del self._waiting[batch.namespace]
            self._bytes -= batch.size
            self._metrics.packed_batches.labels("delivered" if error is None else "failed").inc()
            for request in batch.tickets:
                request.report(error)

        try:
            value = join_parts(batch.namespace, batch.catalog_offset, batch.parts)
        except CodecError as error:
            self._loop.call_soon(done, str(error))
            return
        self._metrics.packed_events.observe(batch.count)
        if (counted := self._acknowledged) is None:
            self._producer.produce(self._route.topic, value, done, partition=batch.partition)
            return
        generation = generation_of(self._route.topic)
        taken = counted.taken(generation, batch.partition)

        def placed(offset: int) -> str | None:
            return counted.add(batch.namespace, generation, batch.partition, offset, batch.count, taken)

        self._producer.produce(self._route.topic, value, done, partition=batch.partition, placed=placed)
