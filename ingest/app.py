"""The gateway's ASGI application: registers its routes, starts and stops its components (``gateway_components``)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ingest.answers import ANSWERS
from ingest.catalog.access.keys_api import KeysApi
from ingest.catalog.access.users_api import UsersApi
from ingest.catalog.catalog_api import CatalogApi
from ingest.catalog.openapi_bodies import BATCH_BODY, EVENT_BODY, MODELS
from ingest.delivery.clock_agreement import watch
from ingest.events.events_api import BATCH, EVENT, Door
from ingest.events.voids_api import VoidsApi
from ingest.gateway_components import Gateway
from ingest.gateway_metrics import CONTENT_TYPE
from ingest.history.stream import HistoryApi
from ingest.http.auth import ShedRequest, admin_key
from ingest.http.gateway_problems import overloaded, unknown_parameters
from ingest.protocols import detection
from ingest.protocols.detection import Foreign
from ingest.protocols.routes import foreign_events, history_stream
from ingest.sources import Sources, system_sources
from schemas.http.connections import Headers
from schemas.http.early_answers import EarlyAnswer
from schemas.http.exchange import exchange_of
from schemas.http.http_service import application
from schemas.http.parameters import KnownParameters
from schemas.settings import Settings


def create_app(
    settings: Settings,
    sources: Sources | None = None,
    on_fatal: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Application:
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
        request.state.access = await state["gateway"].guard.route(request)
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
    UsersApi.routes(app, lambda: state["gateway"].users_api)
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
            exchange = exchange_of(scope)
            if exchange is None or not exchange.answer(response):
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


async def _watch(gateway: Gateway, on_fatal: Callable[[], None]) -> None:
    await gateway.producer.failed_for_good.wait()
    on_fatal()
