"""GET /v1/voided-events: what counts no longer, by whom and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from rating.api.context import Authorized, View
from rating.api.rating_problems import wrong
from rating.invoices.lists import BadCursor
from rating.voided_events import MAX_LIMIT, list_voided
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["usage"])


@router.get("/v1/voided-events", summary="Voided events, newest void first")
async def voided(
    rating: Authorized,
    view: View,
    account_id: Annotated[str | None, Query(description="only this account's")] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
) -> JsonObject:
    """Each with its reason, its author, and both positions in the log: the event's and the void's. Voids that found
    nothing are rejections (`weir rejected list`)."""
    try:
        events, following = await rating.ask(
            lambda client: list_voided(client, view.namespace, account_id=account_id, cursor=cursor, limit=limit)
        )
    except BadCursor as error:
        raise wrong("cursor", str(error)) from None
    return {"voided_events": [event.to_json() for event in events], "next_cursor": following}
