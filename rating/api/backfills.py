"""GET /v1/backfills: profile versions that were published with a start in the past, and how far each is counted. GET
/v1/stored-events: what such a start would mean."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from rating.api.context import Authorized, View
from rating.api.rating_problems import wrong
from rating.backfill_status import read_backfills, stored_events
from schemas.values.fine_instants import Cut
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["usage"])


@router.get("/v1/backfills", summary="Versions published with a start in the past, and how far they are counted")
async def backfills(rating: Authorized, view: View) -> JsonObject:
    """`state` is waiting, running or done; a version's older events count from `checkpoint` on. Events before
    `oldest_event` are not stored, so none of them can count. Periods that need a profile are billed once its backfill
    is done."""
    statuses = await rating.ask(lambda client: read_backfills(client, view))
    return {"backfills": [status.to_json() for status in statuses]}


@router.get(
    "/v1/stored-events", summary="How many events of a name are stored from an instant on, whatever measures them"
)
async def stored(
    rating: Authorized,
    view: View,
    event_name: Annotated[str, Query(description="as events have it")],
    start: Annotated[datetime, Cut, Query(alias="from", description="RFC 3339 instant of the events' own time")],
) -> JsonObject:
    """What a meter of that name with a start at `from` would have to backfill; `oldest` is null where there is
    none."""
    if start.tzinfo is None:
        raise wrong("from", "has no UTC offset; append Z or +hh:mm")
    events = await rating.ask(lambda client: stored_events(client, view.namespace, event_name, micros(start)))
    return {
        "event_name": event_name,
        "from": rfc3339(micros(start)),
        "events": events.events,
        "oldest": None if events.oldest_us is None else rfc3339(events.oldest_us),
    }
