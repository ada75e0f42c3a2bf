"""GET /v1/alerts: what alert rules said, newest first."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from rating.alerts.alert_store import AlertCriteria, AlertPlace, list_alerts
from rating.api.context import Authorized, View
from rating.api.rating_problems import wrong
from schemas.values.fine_instants import Cut
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["alerts"])

_CURSOR: Final = re.compile(r"(\d{1,18})_(alr_[0-9a-f]{24})_(\d{1,9})", re.ASCII)


@router.get("/v1/alerts", summary="Alerts that fired and recovered, newest first, by pages")
async def alerts(
    *,
    rating: Authorized,
    view: View,
    account_id: Annotated[str | None, Query(description="only of this account and its subscriptions")] = None,
    subscription: Annotated[str | None, Query(description="only of this subscription")] = None,
    rule: Annotated[str | None, Query(description="only of this rule")] = None,
    state: Annotated[Literal["fired", "recovered"] | None, Query(description="only those that say so")] = None,
    open_only: Annotated[
        bool,
        Query(
            alias="open",
            description="only alerts of running periods that have fired and not recovered, each by its newest record",
        ),
    ] = False,
    since: Annotated[datetime | None, Cut, Query(description="said at or after this RFC 3339 instant")] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JsonObject:
    """Each crossing of a threshold is here once, `fired`, and once it is taken back `recovered`; the next one has the
    next `episode`. `value` is what an invoice of the instant `as_of` would say, when all events below its `offsets`
    were counted. An alert shows here some seconds after its event."""
    if since is not None and since.tzinfo is None:
        raise wrong("since", "has no UTC offset; append Z or +hh:mm")
    criteria = AlertCriteria(
        view.namespace,
        account_id=account_id,
        subscription=subscription,
        rule=rule,
        state=state,
        since_us=None if since is None else micros(since),
        open_only=open_only,
        now_us=micros(rating.now()),
        after=None if cursor is None else _place(cursor),
        limit=limit + 1,
    )
    page = await rating.ask(partial(list_alerts, criteria=criteria))
    following = None
    if len(page) > limit:
        appended_us, alert_id, version = page[limit - 1].place
        following = f"{appended_us}_{alert_id}_{version}"
    return {"alerts": [alert.to_json() for alert in page[:limit]], "next_cursor": following}


def _place(cursor: str) -> AlertPlace:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise wrong("cursor", f"{cursor[:60]!r} is no cursor of this list; take next_cursor of the page before")
    return int(match[1]), match[2], int(match[3])
