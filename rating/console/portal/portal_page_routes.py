"""Routes of the portal's pages, which a portal token opens: no login, no cookie. The namespace's settings name the
sites that may show them in a frame."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from rating.api.invoices.pdf import pdf_answer
from rating.api.portal.customer_view import events_of_customer, invoice_of_customer, line_of_customer
from rating.api.portal.opened_portal import OpenedPortal, opened_portal
from rating.api.portal.portal_answer import portal_answer
from rating.api.portal.portal_invoices import events_behind, subject_of_customer
from rating.api.portal.portal_usage import events_document, greatest_parts, question_of, span_of
from rating.api.rating_problems import missing, wrong
from rating.api.usage.totals import answer_usage, usage_document
from rating.console.html import Html
from rating.console.login.display_names import display_name
from rating.console.page_answers import page_of
from rating.console.portal.portal_frame import PortalFrame
from rating.console.portal.portal_invoice_page import portal_invoice, portal_line
from rating.console.portal.portal_page import portal_page
from rating.console.portal.portal_usage_page import MOST_PARTS, PortalUsage, portal_usage_page
from rating.explain import BadEventsCursor, NotExplained, explain
from schemas.http.problems import Problem
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

router = APIRouter(include_in_schema=False)


@router.get("/portal")
async def portal_of(request: Request, token: str = "") -> Response:
    portal = opened_portal(request, token)
    answer = await portal_answer(portal)
    return _page(portal, portal_page(_frame(portal, token), answer))


@router.get("/portal/usage")
async def usage_of(
    request: Request,
    token: str = "",
    metric: str = "",
    start: str = Query("", alias="from"),
    end: str = Query("", alias="to"),
    split: str = "",
) -> Response:
    portal = opened_portal(request, token)
    name = portal.metric(metric)
    dimensions = next(tuple(known["dimensions"]) for known in portal.metrics() if known["metric"] == name)
    usage = PortalUsage(name, start.strip(), end.strip(), split if split in dimensions else "", dimensions)
    usage, status = await _read_usage(portal, usage)
    return _page(portal, portal_usage_page(_frame(portal, token), usage), status)


@router.get("/portal/usage.csv")
async def usage_csv(
    request: Request,
    token: str = "",
    metric: str = "",
    start: str | None = Query(None, alias="from"),
    end: str | None = Query(None, alias="to"),
    group_by: str = "day",
) -> Response:
    portal = opened_portal(request, token)
    question = question_of(portal, metric, start, end, (group_by,))
    return await usage_document(portal.rating, request, question, None, "csv")


@router.get("/portal/events.csv")
async def events_csv(
    request: Request,
    token: str = "",
    start: str = Query("", alias="from"),
    end: str = Query("", alias="to"),
) -> Response:
    portal = opened_portal(request, token)
    return await events_document(request, portal, span_of(portal, start.strip(), end.strip()))


@router.get("/portal/invoices/{invoice_id}.pdf")
async def invoice_pdf(request: Request, invoice_id: str, token: str = "") -> Response:
    portal = opened_portal(request, token)
    whole_invoice = await portal.rating.ask(lambda client: portal.read_invoice(client, invoice_id))
    return await pdf_answer(portal.rating, portal.view, whole_invoice)


@router.get("/portal/invoices/{invoice_id}")
async def invoice_of(request: Request, invoice_id: str, token: str = "") -> Response:
    portal = opened_portal(request, token)
    whole_invoice = await portal.rating.ask(lambda client: portal.read_invoice(client, invoice_id))
    return _page(portal, portal_invoice(_frame(portal, token), invoice_of_customer(whole_invoice)))


@router.get("/portal/invoices/{invoice_id}/lines/{number}")
async def line_of(
    request: Request, invoice_id: str, number: int, token: str = "", cursor: str | None = None
) -> Response:
    portal = opened_portal(request, token)

    def question(client: Client) -> tuple[JsonObject, JsonObject]:
        subject = subject_of_customer(client, portal, invoice_id, number)
        page = events_behind(client, subject, cursor)
        return explain(client, portal.rating.ledgers, subject), events_of_customer(page, subject.zone)

    try:
        answer, events = await portal.rating.ask(question)
    except NotExplained as error:
        raise missing(str(error)) from None
    except BadEventsCursor as error:
        raise wrong("cursor", str(error)) from None
    return _page(portal, portal_line(_frame(portal, token), line_of_customer(answer), events))


async def _read_usage(portal: OpenedPortal, usage: PortalUsage) -> tuple[PortalUsage, int]:
    """What was asked for with the answers, and the page's status."""
    start, end = usage.start or None, usage.end or None
    try:
        question = question_of(portal, usage.metric, start, end, ("day",))
        by_day = await answer_usage(portal.rating, question, None)
        parts = None
        if usage.split:
            by_part = question_of(portal, usage.metric, start, end, (f"dimension:{usage.split}",))
            parts = await greatest_parts(portal, by_part, MOST_PARTS + 1)
    except Problem as problem:
        return replace(usage, problem=problem.detail), problem.status
    return replace(usage, by_day=by_day, parts=parts), 200


def _frame(portal: OpenedPortal, token: str) -> PortalFrame:
    settings = portal.view.settings
    seller = (settings.seller and settings.seller.name) or settings.name or portal.view.namespace
    return PortalFrame(seller, token, lambda kind, code: display_name(portal.view, kind, code))


def _page(portal: OpenedPortal, body: Html, status: int = 200) -> Response:
    return page_of(body, status, ancestors=portal.view.settings.portal_origins)
