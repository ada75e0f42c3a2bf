"""The rating service's ASGI application: read this file to find what answers a path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from rating.api import metrics, price, rating_problems
from rating.api.alerts import router as alerts_router
from rating.api.answers import ANSWERS, MODELS
from rating.api.backfills import router as backfills_router
from rating.api.balances.balance import router as balance_router
from rating.api.balances.entries import router as entries_router
from rating.api.balances.topups import router as topups_router
from rating.api.context import Rating
from rating.api.events.corrections import router as corrections_router
from rating.api.events.rejection_list import router as rejections_router
from rating.api.events.void_list import router as voids_router
from rating.api.invoices import changes, credits, explain, lists
from rating.api.invoices.drafts import router as drafts_router
from rating.api.invoices.export import router as export_router
from rating.api.invoices.late import router as late_router
from rating.api.invoices.pdf import router as pdf_router
from rating.api.portal.portal_invoices import router as portal_invoice_router
from rating.api.portal.portal_routes import router as portal_router
from rating.api.portal.portal_usage import router as portal_usage_router
from rating.api.route_guard import guard
from rating.api.runs import router as runs_router
from rating.api.simulations import router as simulations_router
from rating.api.usage import account_diagnosis, current, totals
from rating.api.usage.check_door import CheckDoor
from rating.api.usage.entitlements import router as entitlements_router
from rating.api.usage.reservations import router as reservations_router
from rating.api.webhooks import router as webhooks_router
from rating.console import site
from rating.pipeline.pipeline_metrics import PipelineMetrics
from schemas.health.readiness import UnreadyReason, to_json
from schemas.health.readiness_metrics import UnreadyReasons
from schemas.http.http_service import application
from schemas.settings import Settings, SettingsError

_RESERVATIONS_SECONDS: Final = 10.0
"""The service begins to answer after so long, also where it does not know all reservations yet."""


def build_app(settings: Settings) -> FastAPI:
    """The application; it connects at its start. Raises SettingsError without an admin key, and where the
    login provider's settings are wrong."""
    if not settings.admin_key.get_secret_value():
        raise SettingsError("WEIR_ADMIN_KEY is empty; set it to a long random text, which clients send as Bearer token")
    rating = Rating(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(rating.start)
        rating.reservations.start()
        await rating.reservations.ready(_RESERVATIONS_SECONDS)
        try:
            yield
        finally:
            rating.usage_keeper.stop()
            await rating.reservations.stop()
            await rating.gateway.close()
            if rating.oidc is not None:
                await rating.oidc.close()
            await asyncio.to_thread(rating.stop)

    app = application("rating", lifespan, guard, ANSWERS, MODELS)
    app.state.rating = rating
    app.add_middleware(CheckDoor, rating=rating)
    measured = metrics.RatingMetrics()
    measured.registry.register(PipelineMetrics(rating.pipeline))
    measured.registry.register(UnreadyReasons(lambda: unready))
    unready: list[UnreadyReason] = []
    metrics.install(app, measured)
    rating_problems.install(app)
    app.include_router(totals.router)
    app.include_router(current.router)
    app.include_router(credits.router)
    app.include_router(entries_router)
    app.include_router(topups_router)
    app.include_router(balance_router)
    app.include_router(entitlements_router)
    app.include_router(reservations_router)
    app.include_router(price.router)
    app.include_router(export_router)
    app.include_router(pdf_router)
    app.include_router(lists.router)
    app.include_router(changes.router)
    app.include_router(drafts_router)
    app.include_router(explain.router)
    app.include_router(simulations_router)
    app.include_router(runs_router)
    app.include_router(late_router)
    app.include_router(alerts_router)
    app.include_router(webhooks_router)
    app.include_router(voids_router)
    app.include_router(corrections_router)
    app.include_router(rejections_router)
    app.include_router(account_diagnosis.router)
    app.include_router(backfills_router)
    app.include_router(portal_router)
    app.include_router(portal_usage_router)
    app.include_router(portal_invoice_router)
    site.install(app)

    @app.get("/healthz", tags=["operation"], summary="The process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operation"], summary="Kafka and ClickHouse answer, and the catalog is up to date")
    async def readyz() -> Response:
        reason = await rating.unready()
        if reason is not None:
            return JSONResponse({"status": "unready", "reason": reason.detail, "reasons": to_json([reason])}, 503)
        standing = rating.pipeline.reasons()
        return JSONResponse({"status": "ready"} | ({"reasons": to_json(standing)} if standing else {}))

    @app.get("/metrics", tags=["operation"], summary="Prometheus metrics")
    async def prometheus() -> Response:
        reason = await rating.unready()
        unready[:] = [reason] if reason is not None else []
        return measured.text()

    return app
