"""Routes of the list of customers and of one account's page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query
from fastapi.responses import Response

from rating.api.balances.balance import account_balance
from rating.api.balances.entries import account_entries
from rating.api.balances.topups import account_topups
from rating.api.context import Rating
from rating.api.usage.current import running
from rating.api.usage.reservations import account_limits
from rating.console.customers.account_page import (
    AccountAnswers,
    HeldSubscription,
    account_metrics,
    account_money,
    account_opening,
    account_usage,
    unknown_account,
)
from rating.console.customers.customer_book import customers, near_accounts, plans_of
from rating.console.customers.customer_list import customer_list
from rating.console.customers.limits_panel import LIMITS_SHOWN
from rating.console.customers.running_metrics import running_metrics
from rating.console.html import Html
from rating.console.login.visit import Visit, Visiting
from rating.console.page_answers import page_in_pieces, page_of
from rating.console.text import local
from rating.console.usage.read_usage import metric_totals, metrics_of, shown_usage, used_metric
from rating.console.usage.usage_choice import ShownUsage, UsageChoice, edge_text, micros_of
from rating.invoices.lists import Page, list_invoices
from rating.periods import parse_zone, period_containing
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from schemas.ledgers.invoice_claims import DRAFT
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

router = APIRouter(include_in_schema=False)

_TOPUPS_SHOWN: Final = 10
_INVOICES_SHOWN: Final = 24

T = TypeVar("T")


@router.get("/accounts")
async def accounts(visit: Visiting, q: str = "", plan: str = "", after: str = "") -> Response:
    # In a thread: there may be very many.
    page = await visit.rating.compute(lambda: customers(visit.view, q, plan, after))
    plans = sorted(entry.code for entry in visit.view.all("plan"))
    rows = [(entry.code, str(entry.body["time_zone"]), plans_of(visit.view, entry.code)) for entry in page.entries]
    return page_of(customer_list(visit.frame, rows, plans, q, plan, after, page.following))


@router.get("/accounts/{account_id:path}")
async def customer(
    visit: Visiting,
    account_id: str,
    metric: str = "",
    start: Annotated[str, Query(alias="from")] = "",
    end: Annotated[str, Query(alias="to")] = "",
    step: str = "",
    split: str = "",
) -> Response:
    rating, view, frame = visit.rating, visit.view, visit.frame
    zone = view.time_zone(account_id)
    billed, period = running_metrics(view, account_id, micros(rating.now_of(view)))
    if not start:
        start, end = _edges(period, zone, rating.now_of(view))
    metrics = metrics_of(view)
    choice = UsageChoice(metrics, metric, start, end, split_by=split)
    listed = list(dict.fromkeys((*filter(None, [metric]), *billed, *metrics)))
    if view.get("account", account_id) is None:
        totals = await _totals(rating, view, account_id, start, end, listed)
        unknown = ShownUsage(replace(choice, metric=metric or used_metric(totals, listed)), totals=totals)
        return page_of(unknown_account(frame, account_id, near_accounts(view, account_id), unknown), 404)

    async def pieces() -> AsyncIterator[Html]:
        yield account_opening(frame, account_id, zone, _held(view, account_id, zone))
        # In the order in which they stand on the page, so that the first is not kept waiting by the last.
        tasks: list[asyncio.Task[Any]] = []

        def begun(part: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
            tasks.append(asyncio.create_task(part))
            return tasks[-1]

        try:
            totals = _totals(rating, view, account_id, start, end, listed)
            if metric:
                shown = begun(shown_usage(rating, view, choice, step, (account_id,)))
                totalling = begun(totals)
            else:
                totalling = begun(totals)
                used = replace(choice, metric=used_metric(await totalling, listed))
                shown = begun(shown_usage(rating, view, used, step, (account_id,)))
            asking = begun(_answers(visit, account_id))
            yield account_usage(frame, account_id, await shown)
            yield account_metrics(frame, account_id, replace(await shown, totals=await totalling))
            yield account_money(frame, account_id, await asking)
        finally:
            for task in tasks:
                task.cancel()

    return page_in_pieces(frame, "accounts", frame.name_of("account", account_id) or account_id, pieces())


async def _totals(
    rating: Rating, view: NamespaceView, account_id: str, start: str, end: str, metrics: list[str]
) -> list[JsonObject]:
    try:
        return await metric_totals(rating, view, account_id, start, end, metrics)
    except Problem:  # the dates: told by the metric itself
        return []


async def _answers(visit: Visit, account_id: str) -> AccountAnswers:
    rating, view = visit.rating, visit.view
    namespace, problems = view.namespace, list[str]()

    async def tried(awaitable: Awaitable[T]) -> T | None:
        """One part of the page: what is wrong with it leaves out nothing else."""
        try:
            return await awaitable
        except Problem as problem:
            problems.append(problem.detail)
            return None

    def lists(client: Client) -> tuple[Page, Page]:
        standing = list_invoices(client, namespace, account_id=account_id, limit=_INVOICES_SHOWN)
        waiting = list_invoices(client, namespace, account_id=account_id, state=DRAFT, limit=_INVOICES_SHOWN)
        return standing, waiting

    current, balance, entries, topups, limits, listed = await asyncio.gather(
        tried(running(rating, view, account_id, micros(rating.now_of(view)))),
        tried(account_balance(rating, view, account_id)),
        tried(account_entries(rating, view, account_id, None, 50)),
        tried(account_topups(rating, view, account_id, None, None, _TOPUPS_SHOWN)),
        tried(account_limits(rating, view, account_id, LIMITS_SHOWN)),
        tried(rating.ask(lists)),
    )
    standing, waiting = listed or (Page((), None), Page((), None))
    told = tuple(dict.fromkeys(problems))
    return AccountAnswers(current, balance, entries, topups, limits, standing, waiting, told)


def _edges(period: tuple[int, int] | None, zone_name: str, now: datetime) -> tuple[str, str]:
    """Where the page opens: the running period, else the month of now."""
    zone = parse_zone(zone_name)
    if period is None:
        month = period_containing(now, "month", zone)
        period = micros(month.start), micros(month.end)
    return edge_text(period[0], zone), edge_text(period[1], zone)


def _held(view: NamespaceView, account_id: str, zone: str) -> list[HeldSubscription]:
    return [
        HeldSubscription(entry.code, entry.body["plan"], _day(entry.body["start"], zone), _day(entry.body["end"], zone))
        for entry in view.referring("subscription", "account", account_id)
    ]


def _day(text: str | None, zone: str) -> str:
    """A date as it was written, an instant as the account sees it."""
    return local(micros_of(text), zone) if text and "T" in text else text or ""
