"""What each route of the gateway answers: the one table. A route that is not in it has no document (a test says so
first)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from ingest.catalog.service import RESOURCES
from ingest.history.stream import MEDIA_TYPE as NDJSON
from schemas.catalog.keys import KeyLimits, KeyScope
from schemas.catalog.models import KINDS
from schemas.http.openapi import (
    EMPTY,
    JSON,
    Answer,
    Answered,
    Content,
    Position,
    ProblemDocument,
    Reason,
    absent,
    of_status,
    ok,
)
from schemas.http.problems import MEDIA_TYPE
from schemas.values.json_text import JsonObject


class GatewayAlive(Answer):
    """The process answers."""

    ok: bool


class GatewayReady(Answer):
    """Whether events are taken; ``reasons`` says why not, and what to do."""

    ready: bool
    stopping: bool
    catalog_fresh: bool
    catalog_offset: int
    delivering: bool
    reasons: list[Reason]


class EventWarning(Answer):
    """A profile that an accepted event counts for nothing with."""

    index: int
    """of the event in its request"""
    path: str = Field(examples=["$.properties.seconds"])
    profile: str
    reason: str
    detail: str


class AcceptedEvent(Answer):
    """The event is in Kafka."""

    accepted: int
    idempotency_key: str
    """as it was sent, or as it was made here"""
    warnings: list[EventWarning] = absent()


class AcceptedEvents(Answer):
    """All events of the request are in Kafka."""

    accepted: int
    idempotency_keys: list[str]
    warnings: list[EventWarning] = absent()


class LagoEvent(Answer):
    """An event as Lago tells it back."""

    lago_id: str
    transaction_id: str
    lago_customer_id: str | None
    code: str
    timestamp: datetime
    precise_total_amount_cents: str | None
    properties: JsonObject
    lago_subscription_id: str | None
    external_subscription_id: str
    external_customer_id: str
    created_at: datetime


class LagoTaken(Answer):
    """Lago's answer to one event."""

    event: LagoEvent


class LagoTakenAll(Answer):
    """Lago's answer to several events."""

    events: list[LagoEvent]


class LagoError(Answer):
    """A refusal as Lago's clients read it."""

    model_config = ConfigDict(extra="allow")

    status: int
    error: str
    code: str
    error_details: JsonObject = absent()
    """field → words; of a batch: index → field → words"""
    detail: str


class VoidTaken(Answer):
    """A void that is in Kafka. What it does is decided as it is metered."""

    idempotency_key: str
    source: str
    reason: str
    author: str
    position: Position


class CatalogChange(Answer):
    """An entry and the version that it has now."""

    kind: str
    code: str
    version: int
    start: datetime = absent()
    """of a meter whose older events are counted: from when on"""
    event_name: str = absent()


class CatalogWarning(Answer):
    """Something that was published and is likely not meant."""

    path: str
    detail: str


class CatalogApplied(Answer):
    """What became of the entries of a document."""

    dry_run: bool
    namespace: str
    created: list[CatalogChange]
    changed: list[CatalogChange]
    retired: list[CatalogChange]
    unchanged: list[CatalogChange]
    warnings: list[CatalogWarning] = absent()


class FieldChange(Answer):
    """One field; without the side that is not there."""

    path: str
    before: Any = absent()
    after: Any = absent()


class AuditedChange(Answer):
    """One version that was published."""

    at: datetime
    author: str
    action: Literal["created", "changed", "retired"]
    kind: str
    code: str
    version: int
    catalog_offset: int
    changes: list[FieldChange]


class AuditPage(Answer):
    """A page of the audit trail, the newest first."""

    items: list[AuditedChange]
    next_cursor: str | None


class BackfillNote(Answer):
    """From when on older events are counted, and who tells how far that is."""

    start: datetime = Field(alias="from")
    progress: str


class Published(BaseModel):
    """What the gateway adds to an entry's body."""

    # Classes that are made while the program runs have no source in which docstrings of fields could be looked for.
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=False)

    version: int = Field(description="1 for the first")
    retired: bool
    published_at: datetime
    backfill: BackfillNote = absent()
    warnings: list[CatalogWarning] = absent()


class ListedKey(Answer):
    """A key without its secret."""

    id: str = Field(examples=["key_0123456789abcdef"])
    name: str
    scopes: list[KeyScope]
    expires_at: datetime | None
    limits: KeyLimits
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None


class MadeKey(ListedKey):
    """A new key; ``key`` is told this once."""

    key: str


class KeyPage(Answer):
    """A page of keys, revoked ones too."""

    items: list[ListedKey]
    next_cursor: str | None


_PROBLEM: Final = Content(ProblemDocument, MEDIA_TYPE)
_FOREIGN: Final = (_PROBLEM, Content(LagoError, JSON))


def _resources() -> dict[str, Answered]:
    """Of the entries' paths."""
    table: dict[str, Answered] = {}
    for name, kind in RESOURCES.items():
        model = KINDS[kind]
        entry: Any = create_model(f"{model.__name__}Entry", __base__=(model, Published), __doc__=model.__doc__)
        page: Any = create_model(
            f"{model.__name__}Page", __doc__=f"Entries of kind {kind}.",
            items=(list[entry], ...), next_cursor=(str | None, ...),
        )  # fmt: skip
        table |= {
            f"GET /v1/{name}": ok("", page),
            f"GET /v1/{name}/{{code}}": Answered({200: (Content(entry | page),)}, about={200: "the entry; with "
                "`history=true` a page of all its versions"}),
            f"POST /v1/{name}": of_status("", 201, entry),
            f"PUT /v1/{name}/{{code}}": ok("", entry),
            f"DELETE /v1/{name}/{{code}}": EMPTY,
        }  # fmt: skip
    return table


ANSWERS: Final[dict[str, Answered]] = {
    "GET /healthz": ok("get_health", GatewayAlive),
    "GET /readyz": ok("get_readiness", GatewayReady, 503),
    "GET /metrics": Answered({200: (Content(None, "text/plain"),)}, operation="get_metrics"),
    "POST /v1/events": of_status("send_event", 202, AcceptedEvent),
    "POST /v1/events/batch": of_status("send_events", 202, AcceptedEvents),
    "POST /v1/events/stream": Answered(
        {200: (Content(None, NDJSON, '{"type": "summary", "complete": true, "accepted": 2, …}\n'),)},
        about={200: "progress, refusals and a last summary, as NDJSON lines"}, operation="stream_history",
    ),
    "POST /v1/events/void": of_status("void_event_by_body", 202, VoidTaken),
    "POST /v1/events/{idempotency_key}/void": of_status("void_event", 202, VoidTaken),
    "POST /api/v1/events": Answered(
        {200: (Content(LagoTaken | LagoTakenAll),), 204: ()}, _FOREIGN,
        about={200: "Lago: all events are in Kafka; they are told back", 204: "CloudEvents: all events are in Kafka"},
        operation="send_foreign_events",
    ),
    "POST /api/v1/events/batch": Answered({200: (Content(LagoTakenAll),)}, _FOREIGN, "send_lago_batch"),
    "POST /v1/catalog/apply": ok("apply_catalog", CatalogApplied, 201),
    "GET /v1/catalog/audit": ok("list_catalog_changes", AuditPage),
    "POST /v1/api-keys": of_status("create_api_key", 201, MadeKey),
    "GET /v1/api-keys": ok("list_api_keys", KeyPage),
    "DELETE /v1/api-keys/{key_id}": Answered({204: ()}, operation="revoke_api_key"),
    **_resources(),
}  # fmt: skip
