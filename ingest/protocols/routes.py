"""Routes of the foreign event formats and of the history stream, with their OpenAPI descriptions."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from ingest.catalog.openapi_bodies import EVENT, EVENT_EXAMPLE, bodies
from ingest.history.stream import MEDIA_TYPE, HistoryApi
from ingest.protocols import detection
from schemas.events.raw_events import MAX_BATCH
from schemas.values.json_text import JsonObject

Handler = Callable[[Request], Awaitable[Response]]

_CLOUDEVENT: Final[JsonObject] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"type": "string", "const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 256, "description": "with source, the identity"},
        "source": {"type": "string", "minLength": 1, "maxLength": 256},
        "type": {"type": "string", "minLength": 1, "maxLength": 256, "description": "the event name"},
        "subject": {"type": ["string", "null"], "maxLength": 256, "description": "the account"},
        "time": {"type": ["string", "null"], "format": "date-time", "description": "the arrival where missing"},
        "datacontenttype": {"type": ["string", "null"], "description": "JSON; anything else is refused"},
        "data": {"type": ["object", "null"], "description": "the properties"},
        "data_base64": {"type": ["string", "null"], "description": "in place of data: a JSON object in base64"},
    },
}
_CLOUDEVENT_EXAMPLE: Final[JsonObject] = {
    "specversion": "1.0", "id": "5ac1-0001", "source": "player", "type": "Song played", "subject": "acct_67890",
    "time": "2026-01-31T12:00:00Z", "data": {"seconds": 212, "country": "USA"},
}  # fmt: skip
_CLOUDEVENTS: Final[JsonObject] = {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": _CLOUDEVENT}
_LAGO: Final[JsonObject] = {
    "type": "object",
    "required": ["transaction_id", "external_subscription_id", "code"],
    "properties": {
        "transaction_id": {"type": "string", "minLength": 1, "maxLength": 256, "description": "the idempotency key"},
        "external_subscription_id": {
            "type": "string",
            "description": "code of a subscription, whose account is billed; else the account itself",
        },
        "code": {"type": "string", "minLength": 1, "maxLength": 256, "description": "the event name"},
        "timestamp": {
            "type": ["integer", "number", "string", "null"],
            "description": "Unix seconds, exact to the microsecond; the arrival where missing",
        },
        "precise_total_amount_cents": {
            "type": ["string", "number", "null"],
            "description": "kept as a property of that name, where the properties have none",
        },
        "properties": {"type": ["object", "null"]},
    },
}
_LAGO_EXAMPLE: Final[JsonObject] = {
    "transaction_id": "5ac1-0001", "external_subscription_id": "acme-basic", "code": "Song played",
    "timestamp": 1769860800, "properties": {"seconds": 212},
}  # fmt: skip
_LAGO_ONE: Final[JsonObject] = {"type": "object", "required": ["event"], "properties": {"event": _LAGO}}
_LAGO_MANY: Final[JsonObject] = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": _LAGO}},
}


def foreign_events(app: FastAPI, answer: Handler) -> None:
    """Register both routes for documentation; ``ingest.app.Application`` bypasses them and calls the same
    ``answer``."""
    single = bodies(
        {
            "application/cloudevents+json": {"schema": _CLOUDEVENT, "example": _CLOUDEVENT_EXAMPLE},
            "application/cloudevents-batch+json": {"schema": _CLOUDEVENTS, "example": [_CLOUDEVENT_EXAMPLE]},
            "application/json": {
                "schema": {"anyOf": [_CLOUDEVENT, _LAGO_ONE, _LAGO_MANY, _CLOUDEVENTS]},
                "example": {"event": _LAGO_EXAMPLE},
            },
        }
    )
    batch = bodies({"application/json": {"schema": _LAGO_MANY, "example": {"events": [_LAGO_EXAMPLE]}}})

    @app.post(detection.EVENTS, tags=["events"], openapi_extra=single)
    async def post_foreign(request: Request) -> Response:
        """CloudEvents 1.0 (structured, batched, or binary with ``ce-`` headers), or Lago's ``{"event": …}``."""
        return await answer(request)

    @app.post(detection.BATCH, tags=["events"], openapi_extra=batch)
    async def post_lago_batch(request: Request) -> Response:
        """Lago's ``{"events": […]}``, 1 to 100, all or none."""
        return await answer(request)


def history_stream(app: FastAPI, history: Callable[[], HistoryApi]) -> None:
    """Register the route for history."""
    lines = {
        "type": "string",
        "format": "binary",
        "description": "one native event a line, each with idempotency_key and timestamp",
    }
    example = "\n".join([json.dumps(EVENT_EXAMPLE)] * 2) + "\n"
    extra = bodies({MEDIA_TYPE: {"schema": lines | {"x-line": EVENT}, "example": example}})

    @app.post("/v1/events/stream", tags=["events"], openapi_extra=extra)
    async def post_stream(request: Request) -> Response:
        """Import history: any number of lines, judged one by one. The response is sent while the body is read."""
        return await history().open(request)
