"""GET /v1/usage: a metric's totals by account, time and dimension, as JSON, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Annotated, Final, Literal

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from rating.api.context import Authorized, Rating, View
from rating.api.downloads import document_file, download
from rating.api.query_scheduler import GoOn, interruptible
from rating.api.rating_problems import missing, wrong
from rating.pricing import plain
from rating.usage import Usage, UsageGroup, UsageQuery, stream_rows, usage_totals, usage_with_total
from rating.usage.usage_document import MEDIA_TYPES, UsageFormat, with_empty_buckets, write_usage
from rating.usage.usage_parameters import UsageParameterError, UsageParameters, UsageQuestion, read_parameters
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["usage"])

MAX_ACCOUNTS: Final = 1000


@router.get("/v1/usage", summary="Usage of a metric over a time, by account, local time or dimension")
async def usage(
    *,
    request: Request,
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
    format: Annotated[
        Literal["json", "csv", "parquet"] | None,
        Query(description="csv and parquet: one row a group, however many there are"),
    ] = None,
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
    if format == "parquet":
        return await usage_document(rating, request, question, checkpoint, format)
    if format == "csv" or (format is None and "text/csv" in accept):
        return await usage_document(rating, request, question, checkpoint, "csv")
    return JSONResponse(await answer_usage(rating, question, checkpoint))


def read_question(rating: Rating, view: NamespaceView, parameters: UsageParameters) -> UsageQuestion:
    """What the parameters ask. Raises Problem, which names the parameter."""
    try:
        return read_parameters(view, parameters, rating.now_of(view))
    except UsageParameterError as error:
        raise wrong(error.parameter, str(error)) from None
    except LookupError as error:
        raise missing(str(error.args[0])) from None


async def answer_usage(rating: Rating, question: UsageQuestion, checkpoint: int | None) -> JsonObject:
    """Rows and total as the route answers, live or as of a checkpoint. Raises Problem for an unknown one."""
    as_of = _cut(rating, checkpoint)

    def totals(client: Client) -> JsonObject:
        planned = question.as_of(as_of, rolled_up(rating, client))
        rows, total = usage_with_total(client, planned.query)
        return _json(planned, rows, total, checkpoint)

    return await rating.ask(totals)


async def usage_document(
    rating: Rating, request: Request, question: UsageQuestion, checkpoint: int | None, form: UsageFormat
) -> Response:
    """The rows of the same as a document, few of them in memory at once. Raises Problem likewise."""
    as_of = _cut(rating, checkpoint)

    def written(client: Client, go_on: GoOn) -> IO[bytes]:
        out = document_file()
        planned = question.as_of(as_of, rolled_up(rating, client))
        write_usage(out, planned, interruptible(_document_rows(client, planned.query), go_on), form)
        return out

    if question.query.by_account or question.query.dimensions:
        document = await rating.ask_long(written, request)
    else:
        document = await rating.ask(lambda client: written(client, lambda: None))
    return download(document, MEDIA_TYPES[form], f"{question.metric}.{form}")


def _document_rows(client: Client, query: UsageQuery) -> Iterable[UsageGroup]:
    if query.by_account or query.dimensions:
        return stream_rows(client, query)
    return with_empty_buckets(query, usage_totals(client, query))


def _cut(rating: Rating, checkpoint: int | None) -> Cut | None:
    try:
        return None if checkpoint is None else rating.checkpoints.cut(checkpoint)
    except LookupError as error:
        raise missing(str(error.args[0])) from None


def rolled_up(rating: Rating, client: Client) -> Cut | None:
    """The newest cut whose windows are written."""
    return rating.checkpoints.rolled_up(rating.rolled_up.read(client))


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
        "rows": [_row_json(query, row, ends) for row in with_empty_buckets(query, rows)],
    }


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
