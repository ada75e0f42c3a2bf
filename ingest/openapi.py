"""The OpenAPI document's parts that FastAPI cannot see, since bodies are read raw (pure)."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas.acceptance import MAX_BATCH
from schemas.catalog.models import KINDS
from schemas.voids import MAX_REASON

_REFERENCE: Final = "#/components/schemas/{model}"
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["event_name"],
    "additionalProperties": False,
    "properties": {
        "event_name": {"type": "string", "maxLength": 256},
        "account_id": {
            "type": "string",
            "maxLength": 256,
            "description": "may stand in a property at one of the namespace's account_paths instead",
        },
        "properties": {"type": "object", "description": "any JSON; numbers keep every digit"},
        "idempotency_key": {"type": "string", "maxLength": 256, "description": "made by the server where missing"},
        "timestamp": {"type": "string", "format": "date-time", "description": "the arrival where missing"},
        "source": {"type": "string", "maxLength": 256, "default": ""},
    },
}
EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "event_name": "Song played",
    "account_id": "acct_67890",
    "properties": {"seconds": 212, "country": "USA"},
    "idempotency_key": "5ac1-0001",
    "timestamp": "2026-01-31T12:00:00Z",
}


def _body(schema: dict[str, Any], example: Any = None, media_type: str = "application/json") -> dict[str, Any]:
    return bodies({media_type: {"schema": schema} | ({} if example is None else {"example": example})})


def bodies(content: dict[str, Any]) -> dict[str, Any]:
    """The ``openapi_extra`` of a path that takes one of several media types: their schemas and examples by name."""
    namespace = {
        "name": "Weir-Namespace",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "namespace of the request; the gateway's default where missing",
    }
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [namespace],
        "security": [{"bearer": []}],
    }


EVENT_BODY: Final = _body(EVENT, EVENT_EXAMPLE)
BATCH_BODY: Final = _body(
    {
        "type": "object",
        "required": ["events"],
        "additionalProperties": False,
        "properties": {"events": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": EVENT}},
    },
    {"events": [EVENT_EXAMPLE]},
)
APPLY_BODY: Final = _body(
    {"type": "object", "description": "a catalog document, YAML or JSON"}, media_type="application/yaml"
)

_VOID: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["reason"],
    "additionalProperties": False,
    "properties": {
        "reason": {"type": "string", "minLength": 1, "maxLength": MAX_REASON, "description": "kept with the event"},
        "source": {"type": "string", "maxLength": 256, "default": "", "description": "the event's"},
    },
}
VOID_BODY: Final = _body(_VOID, {"reason": "sent twice under two keys"})
VOID_OF_BODY: Final = _body(
    _VOID
    | {
        "required": ["idempotency_key", "reason"],
        "properties": {"idempotency_key": {"type": "string", "minLength": 1, "maxLength": 256}} | _VOID["properties"],
    },
    {"idempotency_key": "5ac1-0001", "reason": "sent twice under two keys"},
)

KEY_BODY: Final = _body(
    {
        "type": "object",
        "required": ["scopes"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "maxLength": 256},
            "scopes": {
                "type": "array",
                "minItems": 1,
                "maxItems": 4,
                "items": {"enum": ["ingest", "read", "catalog", "admin"]},
            },
            "expires_at": {"type": "string", "format": "date-time", "description": "never where missing"},
            "limits": {"$ref": _REFERENCE.format(model="KeyLimits")},
        },
    },
    {"name": "backend", "scopes": ["ingest"]},
)


def entry_body(kind: str) -> dict[str, Any]:
    """The body of a path that takes one entry of ``kind``."""
    return _body({"$ref": _REFERENCE.format(model=KINDS[kind].__name__)})


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document, with the catalog's models. Cached on the application."""
    if app.openapi_schema is None:
        built = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = built.setdefault("components", {})
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        schemas = components.setdefault("schemas", {})
        for model in KINDS.values():
            schema = model.model_json_schema(ref_template=_REFERENCE)
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        app.openapi_schema = built
    return app.openapi_schema
