"""GET /v1/alerts, GET /v1/anomalies: what alert rules said, newest first."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from rating.alerts.alert_store import AlertCriteria, AlertPlace, StoredAlert, list_alerts
from rating.alerts.anomalies.verdict import AnomalyKind
from rating.api.context import Authorized, Rating, View
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
    criteria = AlertCriteria(
        view.namespace,
        account_id=account_id,
        subscription=subscription,
        rule=rule,
        state=state,
        since_us=_since(since),
        open_only=open_only,
        now_us=micros(rating.now_of(view)),
        after=None if cursor is None else place_of(cursor),
        limit=limit + 1,
    )
    page, following = await alert_page(rating, criteria)
    return {"alerts": [alert.to_json() for alert in page], "next_cursor": following}


@router.get("/v1/anomalies", summary="Days of accounts that were spikes, drops or silent, newest first, by pages")
async def anomalies(
    *,
    rating: Authorized,
    view: View,
    account_id: Annotated[str | None, Query(description="only of this account")] = None,
    metric: Annotated[str | None, Query(description="only of this meter.profile")] = None,
    rule: Annotated[str | None, Query(description="only of this rule")] = None,
    kind: Annotated[AnomalyKind | None, Query(description="only of this kind")] = None,
    state: Annotated[Literal["fired", "recovered"] | None, Query(description="only those that say so")] = None,
    since: Annotated[datetime | None, Cut, Query(description="said at or after this RFC 3339 instant")] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JsonObject:
    """Each is here once a rule, account, local day and kind, `fired`, and `recovered` where late events or voids took
    it back. `anomaly` has the numbers that say why."""
    criteria = AlertCriteria(
        view.namespace,
        account_id=account_id,
        rule=rule,
        measure="anomaly",
        metric=metric,
        kind=kind,
        state=state,
        since_us=_since(since),
        after=None if cursor is None else place_of(cursor),
        limit=limit + 1,
    )
    page, following = await alert_page(rating, criteria)
    return {"anomalies": [alert.to_json() for alert in page], "next_cursor": following}


async def alert_page(rating: Rating, criteria: AlertCriteria) -> tuple[list[StoredAlert], str | None]:
    """A page of what ``criteria`` name, whose limit is one more than it shows, and the cursor of the next one."""
    page = await rating.ask(partial(list_alerts, criteria=criteria))
    if len(page) < criteria.limit:
        return page, None
    appended_us, alert_id, version = page[criteria.limit - 2].place
    return page[: criteria.limit - 1], f"{appended_us}_{alert_id}_{version}"


def _since(since: datetime | None) -> int | None:
    if since is not None and since.tzinfo is None:
        raise wrong("since", "has no UTC offset; append Z or +hh:mm")
    return None if since is None else micros(since)


def place_of(cursor: str) -> AlertPlace:
    """Where the page before ended. Raises Problem."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise wrong("cursor", f"{cursor[:60]!r} is no cursor of this list; take next_cursor of the page before")
    return int(match[1]), match[2], int(match[3])
