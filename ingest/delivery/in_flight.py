"""From accepted events to broker delivery reports (shell around ``packing``); invariant 1 lives here."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.delivery.packing import Packed, Packer
from ingest.delivery.producer import LoopProducer
from ingest.metrics import Metrics
from schemas.errors import WeirError
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch
from schemas.kafka.codec import CodecError
from schemas.kafka.topics import events_topic, generation_of
from schemas.ledgers.generations import Generation, State
from schemas.usage_log.acknowledged import Acknowledged

MAX_BYTES_IN_FLIGHT: Final = 256 * 1024 * 1024
_LITTLE: Final = 16  # such a part of what may wait


@dataclass(frozen=True, slots=True)
class Route:
    """The topic that takes events, and its partitions."""

    topic: str
    partitions: int


def route_of(state: State, configured: Generation) -> Route | None:
    """Where events go; None while the generation is replaced. ``configured``: the generation of the settings, and its
    partitions."""
    generation = state.writable(configured.number)
    if generation is None:
        return None
    return Route(events_topic(generation.number), generation.partitions or configured.partitions or 1)


class NotDelivered(WeirError):
    """Some or all events of a request may not be in Kafka; a retry with the same keys is safe."""


class Request:
    """The events of one request on their way: done when every packed batch that holds one of them is reported."""

    __slots__ = ("error", "future", "parts")

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future
        self.parts = 0
        self.error: str | None = None

    def report(self, error: str | None) -> None:
        """One of its packed batches is in Kafka (None), or may not be."""
        self.parts -= 1
        self.error = self.error or error
        # The future waits for the last part even after a failure: an answer must not overtake a part still on its way.
        if self.parts == 0 and not self.future.done():
            if self.error is None:
                self.future.set_result(None)
            else:
                self.future.set_exception(NotDelivered(self.error))


class Delivery:
    """Packs, encodes and produces; all on one loop."""

    def __init__(
        self,
        producer: LoopProducer,
        route: Callable[[], Route | None],
        metrics: Metrics,
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

    def send(self, namespace: str, catalog_offset: int, events: Sequence[AcceptedEvent]) -> asyncio.Future[None]:
        """A future that is done when all events are in Kafka, or raises NotDelivered. Raises NotDelivered at once when
        nothing was taken: too much is in flight, or the process is stopping."""
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
        self._metrics.events_in_flight.set(self._events)
        request.parts, closed = self._packer.add(namespace, catalog_offset, events, request, self._clock())
        for batch in closed:
            self._produce(batch)
        self._arm()
        return request.future

    def _full(self, namespace: str, new_events: int) -> bool:
        """Where too much waits already, a namespace that has little of it waiting is taken beyond that: it did not fill
        it."""
        events = self._events + new_events
        if events <= self._max_events and self._bytes <= MAX_BYTES_IN_FLIGHT:
            return False
        little = self._waiting[namespace] + new_events <= self._max_events // _LITTLE
        return not little or events > 2 * self._max_events or self._bytes > 2 * MAX_BYTES_IN_FLIGHT

    def _switch(self, route: Route) -> None:
        # What lingers goes where it was packed for; a topic that is sealed refuses it, and its senders try again.
        for batch in self._packer.close_all():
            self._produce(batch)
        self._route, self._packer = route, Packer(route.partitions)

    async def close(self) -> None:
        """Take nothing more and hand over what lingers; the producer's ``close`` then waits for its reports."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for batch in self._packer.close_all():
            self._produce(batch)

    def _arm(self) -> None:
        due = self._packer.next_due()
        if self._timer is None and due is not None:
            self._timer = self._loop.call_later(max(0.0, due - self._clock()), self._linger_ended)

    def _linger_ended(self) -> None:
        self._timer = None
        for batch in self._packer.close_due(self._clock()):
            self._produce(batch)
        self._arm()

    def _produce(self, batch: Packed[Request]) -> None:
        self._bytes += batch.size
        assert self._route is not None, "packed for a route"

        def done(error: str | None) -> None:
            self._events -= len(batch.events)
            self._waiting[batch.namespace] -= len(batch.events)
            if not self._waiting[batch.namespace]:
                del self._waiting[batch.namespace]
            self._bytes -= batch.size
            self._metrics.events_in_flight.set(self._events)
            self._metrics.packed_batches.labels("delivered" if error is None else "failed").inc()
            for request in batch.tickets:
                request.report(error)

        try:
            value = encode_batch(batch.namespace, batch.catalog_offset, batch.events)
        except CodecError as error:
            self._loop.call_soon(done, str(error))
            return
        self._metrics.packed_events.observe(len(batch.events))
        if (counted := self._acknowledged) is None:
            self._producer.produce(self._route.topic, value, done, partition=batch.partition)
            return
        generation = generation_of(self._route.topic)

        def placed(offset: int) -> None:
            counted.add(batch.namespace, generation, batch.partition, offset, len(batch.events))

        self._producer.produce(self._route.topic, value, done, partition=batch.partition, placed=placed)
