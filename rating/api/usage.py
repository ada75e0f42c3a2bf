"""GET /v1/usage and GET /v1/accounts/{id}/usage/current."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse, Response

from rating.api.asked import Asked, ask, planned, require
from rating.api.context import Authorized, Rating, View
from rating.api.problems import Problem, missing
from rating.close.due import PlanningError, current_period, pinned_plan
from rating.close.lines import ChargeBook, Item, exact_sum, rate_item
from rating.close.measure import query_for
from rating.invoices import billed_until
from rating.pricing import PriceError, money_text, plain
from rating.usage import Usage, UsageRow, no_usage, usage_totals
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import Entry, NamespaceView
from schemas.checkpoints import Cut, rolled_up
from schemas.instants import micros, rfc3339

router = APIRouter(tags=["usage"])


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
        list[str] | None, Query(description="hour, day, week, month, quarter or year; account; dimensions")
    ] = None,
    checkpoint: Annotated[int | None, Query(ge=1, description="as of this checkpoint; without it live")] = None,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Quantities are decimal strings; `null` where there is no maximum, minimum or latest. Intervals exclude their end."""
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
    columns = ["account_id"] if asked.query.by_account else []
    columns += ["from", "to", *asked.query.dimensions, "quantity", "events"]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in answer["rows"]:
        flat = {"from": answer["from"], "to": answer["to"]} | row | row.get("dimensions", {})
        writer.writerow(["" if flat[column] is None else flat[column] for column in columns])
    return out.getvalue()


@router.get(
    "/v1/accounts/{account_id:path}/usage/current", summary="The running period: usage so far and what it would cost"
)
async def current(
    rating: Authorized,
    view: View,
    account_id: str,
    at: Annotated[datetime | None, Query(description="RFC 3339 instant instead of now")] = None,
) -> dict[str, Any]:
    """Live, by the same query and the same pricing as an invoice; an estimate until the period is closed."""
    if view.get("account", account_id) is None:
        raise missing(f"there is no account {account_id[:64]!r} in namespace {view.namespace}")
    now_us = micros(require(at, rating.now()))
    mine = [entry for entry in view.all("subscription") if entry.model.account == account_id]
    billed = await rating.ask(lambda client: billed_until(client, view.namespace, account_id))
    book = ChargeBook(view)
    try:
        running = [
            (entry, period)
            for entry in mine
            if (period := current_period(view, entry, billed.get(entry.code), now_us)) is not None
        ]
        found = [
            await rating.ask(partial(_estimate, view=view, book=book, entry=entry, period=period))
            for entry, period in running
        ]
    except (PlanningError, PriceError) as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None
    zone = view.time_zone(account_id)
    return {"account_id": account_id, "time_zone": zone, "at": rfc3339(now_us), "subscriptions": found}


def _estimate(
    client: Any, view: NamespaceView, book: ChargeBook, entry: Entry, period: tuple[int, int]
) -> dict[str, Any]:
    subscription: Subscription = entry.model
    plan_entry = pinned_plan(view, entry)
    plan: Plan = plan_entry.model
    charges: list[dict[str, Any]] = []
    amounts: list[Decimal] = []
    for item in book.items(plan, plan_entry.version, *period):
        rows = _rows(client, view.namespace, subscription.account, item)
        priced, measured, note = rate_item(item, rows, plan.currency)
        amounts.append(priced.amount)
        charges.append(
            {
                "charge": item.charge.key,
                "product": item.product.code,
                "kind": item.product.kind,
                "metric": item.need.profile.profile_id if item.need else None,
                "unit": item.product.unit or (item.need.profile.unit if item.need else ""),
                "quantity": None if measured is None or measured.quantity is None else plain(measured.quantity),
                "events": None if measured is None else measured.events,
                "amount": money_text(priced.amount, plan.currency),
                "steps": [step.as_json() for step in priced.steps],
                "note": note,
            }
        )
    return {
        "subscription": subscription.code,
        "plan": plan.code,
        "plan_version": plan_entry.version,
        "period_start": rfc3339(period[0]),
        "period_end": rfc3339(period[1]),
        "currency": plan.currency,
        "estimated_total": money_text(exact_sum(amounts), plan.currency),
        "charges": charges,
    }


def _rows(client: Any, namespace: str, account_id: str, item: Item) -> list[UsageRow] | None:
    if item.need is None:
        return None
    return usage_totals(client, query_for(namespace, item.need, [account_id], None))
