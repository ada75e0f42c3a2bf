"""GET /v1/diagnosis: what became of an account's events for a metric."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from rating.api.context import Authorized, Rating, View
from rating.api.query_scheduler import GoOn
from rating.api.rating_problems import missing, wrong
from rating.doctor.diagnosis import Diagnosis
from rating.doctor.examine import diagnose, waiting_records
from rating.doctor.findings import diagnosis_json, diagnosis_text
from rating.periods import Interval, parse_range, parse_zone
from schemas.catalog.state import NamespaceView

router = APIRouter(tags=["usage"])


@router.get("/v1/diagnosis", summary="What became of an account's events for a metric")
async def diagnosis(
    *,
    request: Request,
    rating: Authorized,
    view: View,
    account_id: Annotated[str, Query(description="as events have it")],
    metric: Annotated[str, Query(description="meter.profile, or meter where it has one profile")],
    period: Annotated[
        str, Query(description="2013, 2013-Q1, 2013-03, 2013-03-10 or A..B, of event time; default: this month")
    ] = "",
    time_zone: Annotated[str | None, Query(description="IANA name of the dates' zone; default: the account's")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Matched, refused by which filter, without a usable value, duplicate, voided, rejected, outside the period; and
    whether it is billed. `findings` says in one to three sentences what is the matter and what to do. As text with
    `Accept: text/plain`."""
    try:
        zone = parse_zone(time_zone or view.time_zone(account_id))
    except ValueError as error:
        raise wrong("time_zone", str(error)) from None
    try:
        interval = interval_of(rating.now_of(view), period, zone)
    except ValueError as error:
        raise wrong("period", str(error)) from None

    try:
        result = await diagnosed(rating, request, view, account_id, metric, interval)
    except LookupError as error:
        raise missing(str(error.args[0])) from None
    if "text/plain" in accept:
        return PlainTextResponse(diagnosis_text(result))
    return JSONResponse(diagnosis_json(result))


def interval_of(now: datetime, period: str, zone: ZoneInfo) -> Interval:
    """The period as the route takes it; "" for this month by the zone's clock. Raises ValueError."""
    return parse_range(period or now.astimezone(zone).strftime("%Y-%m"), zone)


async def diagnosed(
    rating: Rating, request: Request, view: NamespaceView, account_id: str, metric: str, interval: Interval
) -> Diagnosis:
    """What became of the account's events for the metric, by ``diagnose``. Raises LookupError as that does, and
    Problem."""

    def question(client: Client, go_on: GoOn) -> Diagnosis:
        waiting = waiting_records(rating.settings, client, rating.ledgers.catalog)
        go_on()
        return diagnose(client, rating.ledgers.catalog, view, account_id, metric, interval=interval, waiting=waiting)

    return await rating.ask_long(question, request)
