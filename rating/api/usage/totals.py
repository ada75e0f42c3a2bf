"""GET /v1/usage."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse, Response

from rating.api.context import Authorized, Rating, View
from rating.api.problems import missing
from rating.api.usage.parameters import Asked, ask, planned
from rating.csv_text import write_rows
from rating.pricing import plain
from rating.usage import Usage, UsageRow, naming, no_usage, usage_totals
from schemas.ledgers.checkpoints import Cut, rolled_up
from schemas.values.instants import rfc3339

router = APIRouter(tags=["usage"])

_COLUMNS: Final = ("account_id", "from", "to", "quantity", "events")


@router.get("/v1/usage", summary="Usage of a metric over a time, by account, local time or dimension")
async def usage(
    rating: Authorized,
    view: View,
    metric: Annotated[str, Query(description="meter.profile, or meter where it has one profile")],
    start: Annotated[str, Query(alias="from", description="2013, 2013-01, 2013-01-15 or an RFC 3339 instant")],
    end: Annotated[str | None, Query(alias="to", description="not included; without it `from` is taken whole")] = None,
    account_id: Annotated[str | None, Query(description="without it all accounts are totalled")] = None,
    time_zone: Annotated[str | None, Query(description="IANA name of the dates' zone; default: the account's")] = None,
    group_by: Annotated[
        list[str] | None,
        Query(
            description="hour, day, week, month, quarter or year; account; dimensions, as `dimension:NAME` where one is called like those"
        ),
    ] = None,
    checkpoint: Annotated[int | None, Query(ge=1, description="as of this checkpoint; without it live")] = None,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Quantities are decimal strings; `null` where there is no maximum, minimum or latest. Intervals exclude their
    end."""
    asked = ask(view, metric, account_id, start, end, time_zone, group_by or ())
    answer = await answer_usage(rating, asked, checkpoint)
    if format == "csv" or (format is None and "text/csv" in accept):
        headers = {"Content-Disposition": f'attachment; filename="{asked.metric}.csv"'}
        return Response(_csv(answer, asked), media_type="text/csv; charset=utf-8", headers=headers)
    return JSONResponse(answer)


async def answer_usage(rating: Rating, asked: Asked, checkpoint: int | None) -> dict[str, Any]:
    """The JSON answer. Raises Problem for an unknown checkpoint."""
    try:
        as_of = None if checkpoint is None else rating.checkpoints.cut(checkpoint)
    except LookupError as error:
        raise missing(str(error.args[0])) from None

    def question(client: Any) -> tuple[Asked, list[UsageRow], Usage]:
        final = planned(asked, as_of, _rolled_up(rating, client))
        rows = usage_totals(client, final.query)
        if final.total == final.query:
            return final, rows, rows[0].usage
        return final, rows, usage_totals(client, final.total)[0].usage

    final, rows, total = await rating.ask(question)
    return _json(final, rows, total, checkpoint)


def _rolled_up(rating: Rating, client: Any) -> Cut | None:
    # The follower may be a moment behind ClickHouse; an older cut gives the same total with a longer tail.
    number = min(rolled_up(client), len(rating.checkpoints.cuts))
    return rating.checkpoints.cut(number) if number else None


def _json(asked: Asked, rows: Sequence[UsageRow], total: Usage, checkpoint: int | None) -> dict[str, Any]:
    query = asked.query
    return {
        "namespace": query.namespace,
        "metric": asked.metric,
        "aggregation": query.profile.aggregation,
        "unit": query.profile.unit,
        "account_id": asked.account_id,
        "from": rfc3339(query.start_us),
        "to": rfc3339(query.end_us),
        "time_zone": asked.zone.key,
        "checkpoint": checkpoint,
        "group_by": list(asked.group_by),
        "total": _usage_json(total),
        "rows": [_row_json(asked, row) for row in _filled(asked, rows)],
    }


def _filled(asked: Asked, rows: Sequence[UsageRow]) -> Sequence[UsageRow]:
    """With a row for every bucket, where the grouping is by time alone, so that a history has no gaps."""
    query = asked.query
    if not query.buckets_us or query.by_account or query.dimensions:
        return rows
    found = {row.bucket_us: row for row in rows}
    empty = no_usage(query.profile.aggregation)
    return [found.get(start) or UsageRow(empty, None, start) for start in query.buckets_us]


def _row_json(asked: Asked, row: UsageRow) -> dict[str, Any]:
    query = asked.query
    result: dict[str, Any] = {}
    if query.by_account:
        result["account_id"] = row.account_id
    if row.bucket_us is not None:
        ends = dict(query.intervals())
        result |= {"from": rfc3339(row.bucket_us), "to": rfc3339(ends[row.bucket_us])}
    if query.dimensions:
        result["dimensions"] = dict(zip(query.dimensions, row.dimensions, strict=True))
    return result | _usage_json(row.usage)


def _usage_json(usage: Usage) -> dict[str, Any]:
    return {"quantity": None if usage.quantity is None else plain(usage.quantity), "events": usage.events}


def _csv(answer: dict[str, Any], asked: Asked) -> str:
    own = ["account_id"] if asked.query.by_account else []
    dimensions = naming.columns(asked.query.dimensions, _COLUMNS)
    columns = [*own, "from", "to", *dimensions, "quantity", "events"]
    rows = [
        [
            *(row[name] for name in own),
            row.get("from", answer["from"]),
            row.get("to", answer["to"]),
            *(row["dimensions"][name] for name in asked.query.dimensions),
            row["quantity"],
            row["events"],
        ]
        for row in answer["rows"]
    ]
    out = io.StringIO()
    write_rows(out, columns, [rows], raw=(len(own), len(own) + 1, len(columns) - 2, len(columns) - 1), ending="\r\n")
    return out.getvalue()
