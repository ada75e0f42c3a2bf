"""Routes of the reports."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from rating.api.rating_problems import missing, wrong
from rating.api.usage.totals import MAX_ACCOUNTS, read_question, usage_document
from rating.console.customers.customer_book import customers
from rating.console.login.visit import Visit, Visiting
from rating.console.page_answers import page_of
from rating.console.reports.read_report import known_choice, usage_report
from rating.console.reports.report_choice import ReportChoice
from rating.console.reports.usage_page import PATH, choose_page, usage_page
from rating.console.usage.read_usage import metric_totals, metrics_of, used_metric
from rating.usage.usage_document import UsageFormat
from schemas.catalog.state import NamespaceView
from schemas.values.record_copy import replace

router = APIRouter(include_in_schema=False)

_LONGEST: Final = 256
_CUSTOMERS_SHOWN: Final = 20

Start = Annotated[str, Query(alias="from")]
End = Annotated[str, Query(alias="to")]
Many = Annotated[list[str] | None, Query()]


@router.get("/reports")
async def reports(visit: Visiting) -> Response:
    return RedirectResponse(visit.frame.address(*PATH), 303)


@router.get("/reports/usage")
async def usage(
    visit: Visiting,
    metric: str = "",
    account_id: Many = None,
    start: Start = "",
    end: End = "",
    time_zone: str = "",
    group_by: Many = None,
    customer: str = "",
) -> Response:
    rating, view, frame = visit.rating, visit.view, visit.frame
    choice = _choice(view, metric, account_id, start, end, time_zone)
    if not choice.metrics:
        return page_of(usage_page(frame, await usage_report(rating, view, choice, ()), rating.now_of(view)))
    if not metric or group_by is None:
        opened = await _opened(visit, choice)
        query = opened.query() | {"group_by": group_by or "day"}
        return RedirectResponse(frame.address(*PATH, **query), 303)
    text = customer.strip()[:_LONGEST]
    if text:
        named = [text]
        if view.get("account", text) is None:
            page = await rating.compute(lambda: customers(view, text, limit=_CUSTOMERS_SHOWN))
            named = [entry.code for entry in page.entries]
        if len(named) != 1:
            return page_of(choose_page(frame, choice, text, named), 200 if named else 404)
        query = choice.query() | {"group_by": group_by, "account_id": [*dict.fromkeys((*choice.account_ids, *named))]}
        return RedirectResponse(frame.address(*PATH, **query), 303)
    report = await usage_report(rating, view, choice, group_by)
    return page_of(usage_page(frame, report, rating.now_of(view)), 422 if report.problem else 200)


@router.get("/reports/usage.{form}")
async def document(
    request: Request,
    visit: Visiting,
    form: UsageFormat,
    metric: str,
    account_id: Many = None,
    start: Start = "",
    end: End = "",
    time_zone: str = "",
    group_by: Many = None,
) -> Response:
    choice = _choice(visit.view, metric, account_id, start, end, time_zone)
    try:
        choice, _ = known_choice(visit.view, choice, group_by or ())
    except LookupError as error:
        raise missing(str(error.args[0])) from None
    question = read_question(visit.rating, visit.view, choice.parameters())
    return await usage_document(visit.rating, request, question, None, form)


def _choice(
    view: NamespaceView, metric: str, account_ids: list[str] | None, start: str, end: str, time_zone: str
) -> ReportChoice:
    accounts = tuple(dict.fromkeys(filter(None, account_ids or ())))
    if len(accounts) > MAX_ACCOUNTS:
        raise wrong("account_id", f"stands {len(accounts)} times; choose at most {MAX_ACCOUNTS}, or group by customer")
    return ReportChoice(metrics_of(view), metric.strip(), accounts, start.strip(), end.strip(), time_zone.strip())


async def _opened(visit: Visit, choice: ReportChoice) -> ReportChoice:
    """What a first visit shows: a metric that has usage this month."""
    if choice.metric:
        return choice
    totals = await metric_totals(visit.rating, visit.view, None, choice.start, choice.end, choice.metrics)
    return replace(choice, metric=used_metric(totals, choice.metrics))
