"""GET /v1/usage: a metric's totals by account, time and dimension, as JSON or CSV."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse, Response

from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import missing, wrong
from rating.csv_text import write_rows
from rating.pricing import plain
from rating.usage import Usage, UsageGroup, UsageQuery, naming, no_usage, usage_with_total
from rating.usage.usage_parameters import UsageParameterError, UsageParameters, UsageQuestion, read_parameters
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["usage"])

MAX_ACCOUNTS: Final = 1000
_COLUMNS: Final = ("account_id", "from", "to", "quantity", "events")


@router.get("/v1/usage", summary="Usage of a metric over a time, by account, local time or dimension")
async def usage(
    *,
    rating: Authorized,
    view: View,
    metric: Annotated[str, Query(description="meter.profile, or meter where it has one profile")],
    start: Annotated[
        str | None,
        Query(alias="from", description="2013, 2013-01, 2013-01-15 or an RFC 3339 instant; default: this month"),
    ] = None,
    end: Annotated[str | None, Query(alias="to", description="not included; without it `from` is taken whole")] = None,
    account_id: Annotated[
        list[str] | None,
        Query(description="one account, or several: all that are named together; without it all are totalled"),
    ] = None,
    time_zone: Annotated[str | None, Query(description="IANA name of the dates' zone; default: the account's")] = None,
    group_by: Annotated[
        list[str] | None,
        Query(
            description="hour, day, week, month, quarter or year; account; dimensions, as `dimension:NAME` where one is"
            " called like those"
        ),
    ] = None,
    checkpoint: Annotated[int | None, Query(ge=1, description="as of this checkpoint; without it live")] = None,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Quantities are decimal strings; `null` where there is no maximum, minimum or latest. Intervals exclude their
    end."""
    accounts = tuple(account_id or ())
    if len(accounts) > MAX_ACCOUNTS:
        detail = f"stands {len(accounts)} times; ask for at most {MAX_ACCOUNTS} at once, or group all by account"
        raise wrong("account_id", detail)
    parameters = UsageParameters(metric, accounts, start, end, time_zone, tuple(group_by or ()))
    question = read_question(rating, view, parameters)
    answer = await answer_usage(rating, question, checkpoint)
    if format == "csv" or (format is None and "text/csv" in accept):
        headers = {"Content-Disposition": f'attachment; filename="{question.metric}.csv"'}
        return Response(_csv(answer, question), media_type="text/csv; charset=utf-8", headers=headers)
    return JSONResponse(answer)


def read_question(rating: Rating, view: NamespaceView, parameters: UsageParameters) -> UsageQuestion:
    """What the parameters ask. Raises Problem, which names the parameter."""
    try:
        return read_parameters(view, parameters, rating.now())
    except UsageParameterError as error:
        raise wrong(error.parameter, str(error)) from None
    except LookupError as error:
        raise missing(str(error.args[0])) from None


async def answer_usage(rating: Rating, question: UsageQuestion, checkpoint: int | None) -> JsonObject:
    """Rows and total as the route answers, live or as of a checkpoint. Raises Problem for an unknown one."""
    try:
        as_of = None if checkpoint is None else rating.checkpoints.cut(checkpoint)
    except LookupError as error:
        raise missing(str(error.args[0])) from None

    def totals(client: Client) -> JsonObject:
        planned = question.as_of(as_of, _rolled_up(rating, client))
        rows, total = usage_with_total(client, planned.query)
        return _json(planned, rows, total, checkpoint)

    return await rating.ask(totals)


def _rolled_up(rating: Rating, client: Client) -> Cut | None:
    # The follower may be a moment behind ClickHouse; an older cut gives the same total with a longer tail.
    number = min(rating.rolled_up.read(client), len(rating.checkpoints.cuts))
    return rating.checkpoints.cut(number) if number else None


def _json(question: UsageQuestion, rows: Sequence[UsageGroup], total: Usage, checkpoint: int | None) -> JsonObject:
    query, accounts = question.query, question.account_ids
    ends = dict(query.intervals())
    return {
        "namespace": query.namespace,
        "metric": question.metric,
        "aggregation": query.profile.aggregation,
        "unit": query.profile.unit,
        "account_id": accounts[0] if len(accounts) == 1 else None,
        "account_ids": list(accounts),
        "from": rfc3339(query.start_us),
        "to": rfc3339(query.end_us),
        "time_zone": question.zone.key,
        "checkpoint": checkpoint,
        "group_by": list(question.group_by),
        "total": _usage_json(total),
        "rows": [_row_json(query, row, ends) for row in _filled(query, rows)],
    }


def _filled(query: UsageQuery, rows: Sequence[UsageGroup]) -> Sequence[UsageGroup]:
    """With a row for every bucket, where the grouping is by time alone, so that a history has no gaps."""
    if not query.buckets_us or query.by_account or query.dimensions:
        return rows
    by_start = {row.bucket_us: row for row in rows}
    empty = no_usage(query.profile.aggregation)
    return [by_start.get(start) or UsageGroup(empty, None, start) for start in query.buckets_us]


def _row_json(query: UsageQuery, row: UsageGroup, ends: Mapping[int, int]) -> JsonObject:
    cells: JsonObject = {}
    if query.by_account:
        cells["account_id"] = row.account_id
    if row.bucket_us is not None:
        cells |= {"from": rfc3339(row.bucket_us), "to": rfc3339(ends[row.bucket_us])}
    if query.dimensions:
        cells["dimensions"] = dict(zip(query.dimensions, row.dimensions, strict=True))
    return cells | _usage_json(row.usage)


def _usage_json(usage: Usage) -> JsonObject:
    return {"quantity": None if usage.quantity is None else plain(usage.quantity), "events": usage.events}


def _csv(answer: JsonObject, question: UsageQuestion) -> str:
    account_column = ["account_id"] if question.query.by_account else []
    dimensions = naming.columns(question.query.dimensions, _COLUMNS)
    columns = [*account_column, "from", "to", *dimensions, "quantity", "events"]
    rows = [
        [
            *(row[name] for name in account_column),
            row.get("from", answer["from"]),
            row.get("to", answer["to"]),
            *(row["dimensions"][name] for name in question.query.dimensions),
            row["quantity"],
            row["events"],
        ]
        for row in answer["rows"]
    ]
    out = io.StringIO()
    first_instant = len(account_column)
    raw = (first_instant, first_instant + 1, len(columns) - 2, len(columns) - 1)
    write_rows(out, columns, [rows], raw=raw, ending="\r\n")
    return out.getvalue()
