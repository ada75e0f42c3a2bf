"""Every metric of the rating service, with what it means."""

from __future__ import annotations

import time

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.http.exchange import ANSWERED


class RatingMetrics:
    """Counters and durations of requests, in a registry of their own, so that two applications in one process count
    apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "weir_rating_requests",
            "HTTP requests answered, by route and status",
            ["route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "weir_rating_request_seconds", "seconds from request to answer, by route", ["route"], registry=self.registry
        )

    def text(self) -> Response:
        """The Prometheus exposition."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class _Measuring:
    """Counts each request when its answer begins, as the ASGI server sees it: no task and no queue for each."""

    def __init__(self, app: ASGIApp, metrics: RatingMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"], began)
            await send(message)

        await self._app(scope, receive, measured)
        if (status := scope.get(ANSWERED)) is not None:
            self._count(scope, status, began)

    def _count(self, scope: Scope, status: int, began: float) -> None:
        path = getattr(scope.get("route"), "path", "(unknown)")
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(time.perf_counter() - began)


def install(app: FastAPI, metrics: RatingMetrics) -> None:
    """Measure every request of ``app``."""
    app.add_middleware(_Measuring, metrics=metrics)
