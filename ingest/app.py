"""Composition of the gateway: creates its components, registers its routes, starts and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ingest.answers import ANSWERS
from ingest.catalog.catalog_api import CatalogApi
from ingest.catalog.catalog_publisher import CatalogPublisher
from ingest.catalog.keys_api import KeysApi
from ingest.catalog.loop_throttle import LoopThrottle
from ingest.catalog.openapi_bodies import BATCH_BODY, EVENT_BODY, MODELS
from ingest.delivery.clock_agreement import GatewayClock, ask, watch
from ingest.delivery.in_flight import Delivery, Route, route_of
from ingest.delivery.loop_producer import LoopProducer
from ingest.events.events_api import BATCH, EVENT, Door, EventsApi
from ingest.events.voids_api import VoidsApi
from ingest.gateway_metrics import CONTENT_TYPE, GatewayMetrics
from ingest.gateway_readiness import NOT_DELIVERING, STALE_CATALOG, STOPPING, of_catalog, of_limits, of_producer
from ingest.history.stream import HistoryApi
from ingest.http.auth import Guard, ShedRequest, admin_key
from ingest.http.gateway_problems import overloaded, unknown_parameters
from ingest.protocols import detection
from ingest.protocols.detection import Foreign
from ingest.protocols.routes import foreign_events, history_stream
from ingest.sources import Sources, system_sources
from schemas.catalog.follower import CatalogFollower
from schemas.health.disk_room import Room
from schemas.health.readiness import Readiness, UnreadyReason, to_json
from schemas.http.connections import Headers
from schemas.http.early_answers import EarlyAnswer
from schemas.http.http_service import application
from schemas.http.parameters import KnownParameters
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
        producer = LoopProducer(settings, clock=clock, on_refused=limits.look_soon)
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
            of_catalog(catalog), clock.check, room.reasons, log_watch.reasons, of_limits(settings, limits, route),
            of_producer(producer),
        )  # fmt: skip
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
        catalog_api = CatalogApi(guard, catalog, publisher, throttle)
        keys_api = KeysApi(guard, catalog, publisher, sources, throttle)
        log.info("gateway reads usage.catalog to %d, writes %s",
                 catalog.catalog.next_offset, route())  # fmt: skip
        voids_api = VoidsApi(guard, events, producer, route, acknowledged)
        return cls(
            settings, guard, metrics, catalog, producer, delivery, events, catalog_api, keys_api, voids_api, sources,
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
        await self.delivery.close()
        left = await self.producer.close(STOP_SECONDS)
        if left:
            log.error("%d records were without delivery report at the end; their senders got no 2xx", left)
        self.limits.stop()
        await asyncio.to_thread(self.log_watch.stop)
        await asyncio.to_thread(self.catalog.stop)


def create_app(
    settings: Settings, sources: Sources | None = None, on_fatal: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Application:  # fmt: skip
    """The ASGI application.

    ``on_fatal`` is called once if the producer fails for good; ``stopping`` returns whether the process is stopping
    (read by /readyz and by long-running requests). Raises SettingsError if the admin key is empty.
    """
    admin_key(settings)
    state: dict[str, Gateway] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        gateway = state["gateway"] = await Gateway.start(settings, sources or system_sources())
        watches = [asyncio.create_task(_watch(gateway, on_fatal))]
        if gateway.watched is not None:
            watches.append(asyncio.create_task(watch(gateway.watched, gateway.producer)))
        try:
            yield
        finally:
            for task in watches:
                task.cancel()
            await gateway.stop()

    parameters = KnownParameters()

    async def guarded(request: Request) -> None:
        # Applies to every route; a route that schemas.http.scopes does not list is denied to everybody.
        request.state.access = state["gateway"].guard.route(request)
        if wrong := parameters.wrong(request):
            raise unknown_parameters(wrong)

    app = application("gateway", lifespan, guarded, ANSWERS, MODELS)
    _operations(app, state, stopping)
    _events(app, state)
    history_stream(
        app,
        lambda: HistoryApi(state["gateway"].guard, state["gateway"].events, state["gateway"].sources.now_us, stopping),
    )
    VoidsApi.routes(app, lambda: state["gateway"].voids_api)
    CatalogApi.routes(app, lambda: state["gateway"].catalog_api)
    KeysApi.routes(app, lambda: state["gateway"].keys_api)
    return Application(app, state)


def _foreign(request: Request, sources: Sources) -> Door:
    return Foreign(request, sources.now_us)


DOORS: Final[dict[str, Callable[[Request, Sources], Door]]] = {
    "/v1/events": lambda *_: EVENT,
    "/v1/events/batch": lambda *_: BATCH,
    detection.EVENTS: _foreign,
    detection.BATCH: _foreign,
}


_EARLY: Final = frozenset((b"/v1/events", b"/v1/events/batch"))  # the routes that answer with native problem documents
_SHED: Final = overloaded().response()


class Application:
    """The FastAPI application behind a fast path: event requests bypass routing and dependency resolution, which
    cost more than accepting an event."""

    def __init__(self, app: FastAPI, state: dict[str, Gateway]) -> None:
        self.app = app
        self._state = state

    def early(self, target: bytes, headers: Headers) -> object:
        """See ``early_answers.Early``: under overload, event requests are refused from their headers alone, at a sixth
        of a request's cost."""
        if target not in _EARLY or (gateway := self._state.get("gateway")) is None:
            return None
        admitted = gateway.guard.early(headers)
        if not isinstance(admitted, ShedRequest):
            return admitted
        guard, shed, metrics = gateway.guard, admitted, gateway.metrics
        metrics.shed += 1

        def again() -> bool:
            sheds = guard.sheds(shed)
            metrics.shed += sheds
            return sheds

        return EarlyAnswer(_SHED, again)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "http" and scope["method"] == "POST" and (door_of := DOORS.get(scope["path"])) is not None:
            gateway = self._state["gateway"]
            request = Request(scope, receive)
            response = await gateway.events.answer(request, door_of(request, gateway.sources))
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _events(app: FastAPI, state: dict[str, Gateway]) -> None:
    """Registers the event routes for documentation; ``Application`` bypasses them and calls the same methods."""

    @app.post("/v1/events", status_code=202, tags=["events"], openapi_extra=EVENT_BODY)
    async def post_event(request: Request) -> Response:
        """One event. 202 once it is in Kafka."""
        return await state["gateway"].events.answer(request, EVENT)

    @app.post("/v1/events/batch", status_code=202, tags=["events"], openapi_extra=BATCH_BODY)
    async def post_batch(request: Request) -> Response:
        """1 to 100 events, all or none. 202 once all are in Kafka."""
        return await state["gateway"].events.answer(request, BATCH)

    foreign_events(
        app, lambda request: state["gateway"].events.answer(request, _foreign(request, state["gateway"].sources))
    )


def _operations(app: FastAPI, state: dict[str, Gateway], stopping: Callable[[], bool]) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> JSONResponse:
        """Whether the process answers."""
        return JSONResponse({"ok": True})

    @app.get("/readyz", tags=["operations"])
    async def readyz() -> JSONResponse:
        """200 where events are taken: the catalog is fresh, and Kafka acknowledges. Else `reasons` says why, and what
        to do."""
        answer = state["gateway"].readiness(stopping=stopping())
        return JSONResponse(answer, 200 if answer["ready"] else 503)

    @app.get("/metrics", tags=["operations"])
    async def metrics() -> Response:
        """Prometheus metrics."""
        gateway = state["gateway"]
        gateway.readiness(stopping=stopping())
        gateway.metrics.catalog_offset.set(gateway.catalog.catalog.next_offset)
        return Response(gateway.metrics.render(), media_type=CONTENT_TYPE)


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


async def _watch(gateway: Gateway, on_fatal: Callable[[], None]) -> None:
    await gateway.producer.failed_for_good.wait()
    on_fatal()
