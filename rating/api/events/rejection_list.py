"""GET /v1/rejections: what was refused, with its reason and its bytes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request

from rating.api.context import Authorized, View
from rating.api.rating_problems import wrong
from schemas.clickhouse.stored_rejections import RejectionCriteria, RejectionPlace, matching_rejections
from schemas.http.api_keys import Access
from schemas.values.fine_instants import Cut
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["events"])

MAX_REJECTIONS: Final = 100
"""In one answer: each may hold 64 KiB of what was refused."""
_CURSOR: Final = re.compile(r"(\d{1,18})_([0-9a-f]{32})", re.ASCII)


@router.get("/v1/rejections", summary="What was refused, newest first")
async def rejections(
    *,
    request: Request,
    rating: Authorized,
    view: View,
    reason: Annotated[str, Query(description="only this reason, e.g. too_old, malformed, undecodable")] = "",
    stage: Annotated[
        Literal["gateway", "admit", "meter"] | None,
        Query(description="only what was refused by the gateway, in an inbox (admit) or by the meter"),
    ] = None,
    since: Annotated[datetime | None, Cut, Query(description="arrived at or after this RFC 3339 instant")] = None,
    everything: Annotated[bool, Query(alias="all", description="also what was replayed already")] = False,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_REJECTIONS)] = 50,
) -> JsonObject:
    """Each with the bytes that were refused, or their beginning. What could not be decoded belongs to no namespace: the
    admin key alone sees it, as it may be anybody's. `weir rejected replay` gives rejections a second chance."""
    if since is not None and since.tzinfo is None:
        raise wrong("since", "has no UTC offset; append Z or +hh:mm")
    access: Access = request.state.access
    criteria = RejectionCriteria(
        view.namespace,
        reason=reason,
        stage=stage or "",
        since_us=None if since is None else micros(since),
        replayed_too=everything,
        limit=limit + 1,
        of_nobody=access.namespace is None,
        after=None if cursor is None else place_of(cursor),
    )
    page = await rating.ask(lambda client: matching_rejections(client, criteria))
    following = None
    if len(page) > limit:
        following = place_text(page[limit - 1].place)
    return {"rejections": [rejection.to_json() for rejection in page[:limit]], "next_cursor": following}


def place_text(position: RejectionPlace) -> str:
    """The cursor of what comes after a place."""
    received_us, rejection_id = position
    return f"{received_us}_{rejection_id.hex()}"


def place_of(cursor: str) -> RejectionPlace:
    """The place that a cursor names. Raises Problem."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise wrong("cursor", f"{cursor[:60]!r} is no cursor of this list; take next_cursor of the page before")
    return int(match[1]), bytes.fromhex(match[2])
