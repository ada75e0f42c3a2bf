"""GET /v1/counted-event and GET /v1/voids/…: what whoever voids or corrects an event has to know: how it counted, and
what the void did."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from rating.api.context import Authorized, View
from rating.voided_events import outcome_of, stored_event
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["usage"])

_PENDING: Final[JsonObject] = {"outcome": "pending", "detail": "", "event": None}
_MAX_NUMBER: Final = 2**31 - 1
_MAX_OFFSET: Final = 2**63 - 1


@router.get("/v1/counted-event", summary="The event of an idempotency key, as it counted")
async def counted(
    rating: Authorized,
    view: View,
    idempotency_key: Annotated[str, Query(max_length=256)],
    source: Annotated[str, Query(max_length=256, description="none by default, as for events")] = "",
) -> Response:
    """`event` is the copy that counted last, its properties as they were sent; null where none counted. `voided` says
    that it counts no longer."""
    event = await rating.ask(lambda client: stored_event(client, view.namespace, source, idempotency_key))
    # Raw JSON text, so that no number of a customer's is rounded on its way out.
    answer = {"event": None if event is None else event.to_json()}
    return Response(msgspec.json.encode(answer), media_type="application/json")


@router.get("/v1/voids/{generation}/{partition}/{offset}", summary="What a void did")
async def effect(
    rating: Authorized,
    view: View,
    generation: Annotated[int, Path(ge=0, le=_MAX_NUMBER)],
    partition: Annotated[int, Path(ge=0, le=_MAX_NUMBER)],
    offset: Annotated[int, Path(ge=0, le=_MAX_OFFSET)],
) -> JsonObject:
    """The position is what the gateway answered the void with. `outcome` is `pending` until the void is metered, and
    where there is no void of this namespace."""
    outcome = await rating.ask(lambda client: outcome_of(client, view.namespace, (generation, partition, offset)))
    return _PENDING if outcome is None else outcome.to_json()
