"""The components of a running gateway: creates them, tells whether they accept events, and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

from ingest.catalog.access.keys_api import KeysApi
from ingest.catalog.access.users_api import UsersApi
from ingest.catalog.catalog_api import CatalogApi
from ingest.catalog.catalog_publisher import CatalogPublisher
from ingest.delivery.clock_agreement import GatewayClock, ask
from ingest.delivery.in_flight import Delivery, Route, route_of
from ingest.delivery.loop_producer import LoopProducer
from ingest.events.events_api import EventsApi
from ingest.events.voids_api import VoidsApi
from ingest.gateway_metrics import GatewayMetrics
from ingest.gateway_readiness import NOT_DELIVERING, STALE_CATALOG, STOPPING, of_catalog, of_limits, of_producer
from ingest.http.auth import Guard
from ingest.http.loop_throttle import LoopThrottle
from ingest.sources import Sources
from schemas.catalog.follower import CatalogFollower
from schemas.health.disk_room import Room
from schemas.health.readiness import Readiness, UnreadyReason, to_json
from schemas.health.readiness_metrics import UnreadyReasons
from schemas.kafka.limit_watch import LimitWatch
from schemas.kafka.limits import packed_limit
from schemas.kafka.topics import CLOCK, events_topic, partition_count, written_topics
from schemas.ledgers.generations import Generation
from schemas.settings import Settings
from schemas.usage_log.acknowledged import Acknowledged
from schemas.usage_log.continuity import LogWatch, read_cursors
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

_CLOCK_SECONDS: Final = 5.0


STOP_SECONDS: Final = 1.5  # by then uvicorn has already waited for responses in progress


@dataclass(slots=True)
class Gateway:
    """The components of a running gateway, created at start-up."""

    settings: Settings
    guard: Guard
    metrics: GatewayMetrics
    catalog: CatalogFollower
    producer: LoopProducer
    delivery: Delivery
    events: EventsApi
    catalog_api: CatalogApi
    keys_api: KeysApi
    users_api: UsersApi
    voids_api: VoidsApi
    sources: Sources
    ready: Readiness
    watched: GatewayClock | None
    """This gateway's clock check; None if the topic usage.clock does not exist."""
    log_watch: LogWatch
    limits: LimitWatch

    @classmethod
    async def start(cls, settings: Settings, sources: Sources) -> Gateway:
        """Connect to Kafka and read the catalog. Raises LookupError, LedgerUnavailable, KafkaException."""
        count = await asyncio.to_thread(partition_count, settings, events_topic(settings.generation))
        first_generation = Generation(settings.generation, count)
        metrics = GatewayMetrics()
        catalog = CatalogFollower(settings)
        await asyncio.to_thread(catalog.start)
        guard = Guard(settings, catalog, sources.now_us)
        throttle = LoopThrottle(lambda: guard.served)
        clock = GatewayClock(sources.now_us)
        limits = LimitWatch(settings, written_topics)
        producer = LoopProducer(settings, clock=clock, on_refused=limits.refused)
        watched = await _asked(settings, clock, producer)

        def packed_bytes(topic: str) -> int:
            return packed_limit(settings, limits.limits.get(topic) or None)

        def route() -> Route | None:
            return route_of(catalog.catalog.generations.state, first_generation, packed_bytes)

        acknowledged = Acknowledged("gateway", partial(read_cursors, settings))

        def written() -> int | None:
            generation = catalog.catalog.generations.state.writable(settings.generation)
            return None if generation is None else generation.number

        log_watch = LogWatch(settings, written, acknowledged=acknowledged)
        await asyncio.to_thread(log_watch.start)
        await asyncio.to_thread(limits.start)
        delivery = Delivery(
            producer,
            route,
            metrics,
            max_events=settings.events_in_flight,
            acknowledged=acknowledged,
        )
        room = Room(
            [folder for folder in settings.watched_folders.split(",") if folder], settings.minimum_free_mb << 20
        )
        ready = Readiness(
            of_catalog(catalog),
            clock.check,
            room.reasons,
            log_watch.reasons,
            of_limits(settings, limits, route),
            of_producer(producer),
        )
        metrics.registry.register(UnreadyReasons(ready.reasons))
        events = EventsApi(
            guard=guard,
            catalog=catalog,
            delivery=delivery,
            producer=producer,
            metrics=metrics,
            sources=sources,
            ready=ready,
        )
        publisher = CatalogPublisher(settings, catalog, lambda: sources.new_id().hex())
        catalog_api = CatalogApi(guard, catalog, publisher, throttle, sources.now_us)
        keys_api = KeysApi(guard, catalog, publisher, sources, throttle)
        users_api = UsersApi(guard, catalog, publisher, sources, throttle)
        log.info("gateway reads usage.catalog to %d, writes %s", catalog.catalog.next_offset, route())
        voids_api = VoidsApi(guard, events, producer, route, acknowledged)
        return cls(
            settings, guard, metrics, catalog, producer, delivery, events, catalog_api, keys_api, users_api, voids_api,
            sources,
            ready, watched, log_watch, limits,
        )  # fmt: skip

    def readiness(self, *, stopping: bool) -> JsonObject:
        """The body of /readyz; ``ready`` is True if events are accepted and the gateway is not stopping."""
        reasons = self.ready.reasons()
        if stopping:
            reasons += (UnreadyReason(STOPPING, "this gateway is stopping", "send to another one"),)
        self.metrics.ready.set(not reasons)
        names = {reason.name for reason in reasons}
        return {
            "ready": not reasons,
            "stopping": stopping,
            "catalog_fresh": STALE_CATALOG not in names,
            "catalog_offset": self.catalog.catalog.next_offset,
            "delivering": NOT_DELIVERING not in names,
            "reasons": to_json(reasons),
        }

    async def stop(self) -> None:
        """Stop the gateway after every accepted event has received its delivery report."""
        self.catalog_api.stop()
        self.keys_api.stop()
        self.users_api.stop()
        await self.delivery.close()
        left = await self.producer.close(STOP_SECONDS)
        if left:
            log.error("%d records were without delivery report at the end; their senders got no 2xx", left)
        self.limits.stop()
        await asyncio.to_thread(self.log_watch.stop)
        await asyncio.to_thread(self.catalog.stop)


async def _asked(settings: Settings, clock: GatewayClock, producer: LoopProducer) -> GatewayClock | None:
    """Compare ``clock`` with Kafka once before any event is judged by it.

    Returns None if the topic usage.clock does not exist; then only delivery reports reveal a wrong clock.
    """
    try:
        clock.partitions = await asyncio.to_thread(partition_count, settings, CLOCK)
    except LookupError as error:
        log.warning("%s; until then this gateway's clock is compared with Kafka's by deliveries alone", error)
        return None
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ask(clock, producer), _CLOCK_SECONDS)
    return clock
