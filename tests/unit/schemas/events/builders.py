"""A namespace, a catalog and an event for tests of acceptance, and what acceptance makes of them."""

from __future__ import annotations

from typing import Any

from schemas.catalog.meters import EventType, Meter
from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.event_types import NO_TYPES, EventTypes
from schemas.events.raw_events import Refused, decode_batch
from schemas.values.instants import SECOND

FOR_EVER = Namespace(code="ns", max_event_age_seconds=None)
METER = Meter.model_validate(
    {
        "code": "e",
        "profiles": [{"code": "sum", "aggregation": "sum", "property": "n"}, {"code": "n", "aggregation": "count"}],
    }
)


def catalog(*types: dict[str, Any], settings: Namespace = FOR_EVER, meter: bool = True) -> Catalog:
    item = Catalog()
    models: list[tuple[str, Any]] = [("namespace", settings), *([("meter", METER)] if meter else [])]
    models += [("event_type", EventType.model_validate(result)) for result in types]
    for offset, (kind, model) in enumerate(models):
        assert item.apply(record_of("ns", model, kind=kind, version=1, author="", claim_id=str(offset)), offset, offset)
    return item


def event(properties: bytes, name: str = "e") -> bytes:
    return b'{"events":[{"event_name":"' + name.encode() + b'","account_id":"a","properties":' + properties + b"}]}"


def judged(body: bytes, types: EventTypes = NO_TYPES) -> AcceptedEvent | Refused:
    try:
        return accept("ns", FOR_EVER, decode_batch(body), now_us=10**15, mint_key=str, types=types)[0]
    except Refused as refused:
        return refused


NOW = 1_700_000_000 * SECOND
SETTINGS = Namespace(code="ns", max_event_age_seconds=1000, max_event_skew_seconds=100)
