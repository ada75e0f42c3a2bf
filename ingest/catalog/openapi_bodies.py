"""Request bodies and examples for the OpenAPI document, which FastAPI cannot derive because bodies are read raw.
Pure."""

from __future__ import annotations

from types import GenericAlias
from typing import Any, Final

from pydantic import ConfigDict, Field, create_model

from ingest.catalog.entries import LISTS
from schemas.catalog.access.users import PasswordChange, UserChange
from schemas.catalog.models import KINDS, Namespace
from schemas.events.raw_events import MAX_BATCH
from schemas.events.voids import MAX_REASON
from schemas.http.openapi import NAMESPACE_HEADER, REFERENCE, absent
from schemas.reference.examples import EXAMPLES
from schemas.values.json_text import JsonObject

EVENT: Final[JsonObject] = {
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
EVENT_EXAMPLE: Final[JsonObject] = {
    "event_name": "Song played",
    "account_id": "acct_67890",
    "properties": {"seconds": 212, "country": "USA"},
    "idempotency_key": "5ac1-0001",
    "timestamp": "2026-01-31T12:00:00Z",
}


def _body(schema: JsonObject, example: Any = None, media_type: str = "application/json") -> JsonObject:
    return bodies({media_type: {"schema": schema} | ({} if example is None else {"example": example})})


def bodies(content: JsonObject) -> JsonObject:
    """The ``openapi_extra`` of a route that accepts one of several media types; ``content``: media type → schema
    and example."""
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [NAMESPACE_HEADER],
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
# The classes are known only at run time: what ``list[…]`` makes is made by name.
_LISTS: Any = {name: (GenericAlias(list, (KINDS[kind],)), absent()) for name, kind in LISTS.items()}
CatalogDocument: Final = create_model(
    "CatalogDocument",
    __config__=ConfigDict(extra="forbid"),
    __doc__="What the catalog is to say: lists of entries, in any order.",
    namespace=(str | Namespace, absent(description="its code, or its settings; the request's namespace where missing")),
    prune=(bool, Field(False, description="retire what the lists leave out")),
    **_LISTS,
)
_DOCUMENT: Final = {"$ref": REFERENCE.format(model="CatalogDocument")}
CATALOG_EXAMPLE: Final[JsonObject] = {
    "meters": [{"code": "calls", "unit": "second", "event_name": "call", "profiles": [
        {
            "code": "abroad", "aggregation": "sum", "property": ["seconds"],
            "filters": [{"property": ["to", "country"], "operator": "ne", "value": "US"}],
        },
    ]}],
    "products": [{"code": "abroad", "name": "Calls abroad", "unit": "second", "profile": "calls.abroad"}],
    "plans": [{"code": "basic", "currency": "USD", "charges": [
        {"product": "abroad", "price": {"model": "per_unit", "unit_amount": "0.015"}},
    ]}],
    "accounts": [{"code": "acme", "time_zone": "America/New_York"}],
    "subscriptions": [{"code": "acme-basic", "account": "acme", "plan": "basic", "start": "2026-01-01"}],
}  # fmt: skip
APPLY_BODY: Final = bodies(
    {
        "application/yaml": {"schema": _DOCUMENT, "example": CATALOG_EXAMPLE},
        "application/json": {"schema": _DOCUMENT, "example": CATALOG_EXAMPLE},
    }
)

_VOID: Final[JsonObject] = {
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
            "limits": {"$ref": REFERENCE.format(model="KeyLimits")},
        },
    },
    {"name": "backend", "scopes": ["ingest"]},
)


USER_BODY: Final = _body(
    {"$ref": REFERENCE.format(model="UserChange")}, {"role": "billing", "password": "a long password"}
)

PASSWORD_BODY: Final = _body(
    {"$ref": REFERENCE.format(model="PasswordChange")},
    {"old_password": "a long password", "password": "another long password"},
)

IF_MATCH: Final[JsonObject] = {
    "name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "the ETag of the version that was looked at; 412 where another one stands by now (PUT: 428 "
        "without it)",
}  # fmt: skip


def entry_body(kind: str, *parameters: JsonObject) -> JsonObject:
    """The ``openapi_extra`` of a route that accepts an entry of ``kind``, with additional ``parameters``."""
    model = KINDS[kind]
    body = _body({"$ref": REFERENCE.format(model=model.__name__)}, EXAMPLES[model][0])
    return body | {"parameters": [*body["parameters"], *parameters]}


MODELS: Final = (
    *((model.__name__, model) for model in KINDS.values()),
    ("CatalogDocument", CatalogDocument),
    ("UserChange", UserChange),
    ("PasswordChange", PasswordChange),
)
"""The models to which bodies refer by name."""
