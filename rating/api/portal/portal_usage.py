"""GET /v1/portal/usage and GET /v1/portal/events: the account's own usage and events, as JSON and CSV."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import IO, Annotated, Final, Literal

import msgspec
from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from rating.api.downloads import document_file, download
from rating.api.portal.customer_view import encoded
from rating.api.portal.opened_portal import OpenedPortal, Portal
from rating.api.query_scheduler import GoOn, interruptible
from rating.api.rating_problems import wrong
from rating.api.usage.totals import answer_usage, read_question, rolled_up, usage_document
from rating.csv_text import write_rows
from rating.explain import BadEventsCursor
from rating.explain.account_events import (
    COLUMNS,
    MOST_OF_PAGE,
    MOST_ROWS,
    AccountEvent,
    AccountSpan,
    all_events,
    events_of_account,
)
from rating.periods import parse_range
from rating.usage import UsageGroup, stream_rows, usage_with_total
from rating.usage.usage_parameters import UsageParameters, UsageQuestion
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject, exact
from schemas.values.record_copy import replace
from schemas.values.time_zones import parse_zone

router = APIRouter(tags=["portal"])

_FROM: Final = "2013, 2013-01, 2013-01-15 or an RFC 3339 instant; default: this month"
_TO: Final = "not included; without it `from` is taken whole"


@router.get("/v1/portal/usage", summary="The account's usage of a metric, by time and dimension")
async def portal_usage(
    *,
    request: Request,
    portal: Portal,
    metric: Annotated[str, Query(description="one of the `metrics` of `GET /v1/portal`")],
    start: Annotated[str | None, Query(alias="from", description=_FROM)] = None,
    end: Annotated[str | None, Query(alias="to", description=_TO)] = None,
    group_by: Annotated[
        list[str] | None,
        Query(description="hour, day, week, month, quarter or year; dimensions of the metric"),
    ] = None,
    format: Annotated[Literal["json", "csv"], Query()] = "json",
) -> Response:
    """As `GET /v1/usage` answers, in the account's time zone."""
    question = question_of(portal, metric, start, end, tuple(group_by or ()))
    if format == "csv":
        return await usage_document(portal.rating, request, question, None, format)
    return JSONResponse(await answer_usage(portal.rating, question, None))


def question_of(
    portal: OpenedPortal, metric: str, start: str | None, end: str | None, group_by: tuple[str, ...]
) -> UsageQuestion:
    """The account's usage of a metric that it is billed by. Raises Problem (404, 422)."""
    parameters = UsageParameters(portal.metric(metric), (portal.account_id,), start, end, group_by=group_by)
    return read_question(portal.rating, portal.view, parameters)


async def greatest_parts(portal: OpenedPortal, question: UsageQuestion, most: int) -> Sequence[UsageGroup]:
    """The groups of a question by one dimension, the greatest first, ``most`` at most; blocks nobody else."""

    def groups(client: Client) -> Sequence[UsageGroup]:
        query = question.as_of(None, rolled_up(portal.rating, client)).query
        if query.profile.carry_over:
            rows: Iterable[UsageGroup] = islice(stream_rows(client, query), most)
        else:
            rows, _ = usage_with_total(client, replace(query, top=most))
        return sorted(rows, key=lambda group: group.usage.quantity or Decimal(0), reverse=True)

    return await portal.rating.ask(groups)


@router.get("/v1/portal/events", summary="The account's own events, as they were sent")
async def portal_events(
    *,
    request: Request,
    portal: Portal,
    start: Annotated[str | None, Query(alias="from", description=_FROM)] = None,
    end: Annotated[str | None, Query(alias="to", description=_TO)] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_OF_PAGE)] = 100,
    format: Annotated[Literal["json", "csv"], Query()] = "json",
) -> Response:
    """In order of their own time, without those that were taken back. `csv`: all of the time, a million at most."""
    span = _span(portal, start, end)
    if format == "csv":
        return await events_document(request, portal, span)
    try:
        events, following = await portal.rating.ask(lambda client: events_of_account(client, span, cursor, limit))
    except BadEventsCursor as error:
        raise wrong("cursor", str(error)) from None
    answer = {"events": [_json(event) for event in events], "next_cursor": following}
    return Response(encoded(answer), media_type="application/json")


async def events_document(request: Request, portal: OpenedPortal, span: AccountSpan) -> Response:
    """The events of a time as CSV. Raises Problem (422) for more than a document has."""

    def written(client: Client, go_on: GoOn) -> tuple[IO[bytes], int]:
        out = document_file()
        text = io.TextIOWrapper(out, encoding="utf-8", newline="")
        pages = interruptible(_cells(client, span), go_on)
        count = write_rows(text, COLUMNS, pages, raw=frozenset({0}), ending="\r\n")
        text.flush()
        text.detach()
        return out, count

    document, count = await portal.rating.ask_long(written, request)
    if count > MOST_ROWS:
        document.close()
        raise wrong("from", f"there are more than {MOST_ROWS} events in this time; ask for a shorter one")
    return download(document, "text/csv; charset=utf-8", "events.csv")


def _cells(client: Client, span: AccountSpan) -> Iterator[list[tuple[str, ...]]]:
    for events in all_events(client, span):
        yield [event.cells() for event in events]


def _span(portal: OpenedPortal, start: str | None, end: str | None) -> AccountSpan:
    zone = parse_zone(portal.view.time_zone(portal.account_id))
    if start is None and end is not None:
        raise wrong("from", "is missing; it is needed beside to")
    first = start or f"{portal.rating.now_of(portal.view).astimezone(zone):%Y-%m}"
    try:
        interval = parse_range(first if end is None else f"{first}..{end}", zone)
    except ValueError as error:
        raise wrong("from", str(error)) from None
    return AccountSpan(portal.view.namespace, portal.account_id, micros(interval.start), micros(interval.end))


def span_of(portal: OpenedPortal, start: str, end: str) -> AccountSpan:
    """The time that a page asks for, "" for this month. Raises Problem (422)."""
    return _span(portal, start or None, end or None)


def _json(event: AccountEvent) -> JsonObject:
    values = event.to_json()
    try:
        exact(event.properties)
    except ValueError:
        return values
    return values | {"properties": msgspec.Raw(event.properties.encode())}
