"""GET /v1/portal/invoices and below: the account's invoices, each as PDF, each line explained to its events."""

from __future__ import annotations

from typing import Annotated

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query
from fastapi.responses import Response

from rating.api.invoices.pdf import pdf_answer
from rating.api.portal.customer_view import (
    encoded,
    events_of_customer,
    invoice_of_customer,
    line_of_customer,
    of_customer,
)
from rating.api.portal.opened_portal import OpenedPortal, Portal
from rating.api.rating_problems import missing, wrong
from rating.explain import BadEventsCursor, EventsPage, NotExplained, Subject, explain, read_subject
from rating.explain.counted_events import MAX_LIMIT, read_events
from rating.invoices.lists import MAX_LIMIT as MOST_INVOICES
from rating.invoices.lists import BadCursor, list_invoices
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["portal"])


@router.get("/v1/portal/invoices", summary="The account's invoices, latest period first, by pages")
async def portal_invoices(
    portal: Portal,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_INVOICES)] = 50,
) -> JsonObject:
    """Without drafts, and without who of the seller decided on one."""
    try:
        page = await portal.rating.ask(
            lambda client: list_invoices(
                client, portal.view.namespace, account_id=portal.account_id, cursor=cursor, limit=limit
            )
        )
    except BadCursor as error:
        raise wrong("cursor", str(error)) from None
    return {"invoices": [of_customer(head.to_json()) for head in page.invoices], "next_cursor": page.next_cursor}


@router.get("/v1/portal/invoices/{invoice_id}.pdf", summary="One of them as PDF", response_class=Response)
async def portal_pdf(portal: Portal, invoice_id: str) -> Response:
    """As `GET /v1/invoices/{invoice_id}.pdf`."""
    whole_invoice = await portal.rating.ask(lambda client: portal.read_invoice(client, invoice_id))
    return await pdf_answer(portal.rating, portal.view, whole_invoice)


@router.get("/v1/portal/invoices/{invoice_id}", summary="One of them whole")
async def portal_invoice(portal: Portal, invoice_id: str) -> JsonObject:
    """Each line with its quantity and the steps of its calculation."""
    return invoice_of_customer(await portal.rating.ask(lambda client: portal.read_invoice(client, invoice_id)))


@router.get("/v1/portal/invoices/{invoice_id}/lines/{number}/explain", summary="How a line came about")
async def portal_line(portal: Portal, invoice_id: str, number: int) -> Response:
    """The quantity by day and dimension, the steps, and what an adjustment changed."""
    return _json(line_of_customer(await explained_line_of(portal, invoice_id, number)))


@router.get("/v1/portal/invoices/{invoice_id}/lines/{number}/explain/events", summary="The events behind a line")
async def portal_line_events(
    portal: Portal,
    invoice_id: str,
    number: int,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
) -> Response:
    """In order of time, by pages."""

    def question(client: Client) -> JsonObject:
        subject = subject_of_customer(client, portal, invoice_id, number)
        page = events_behind(client, subject, cursor, limit)
        return events_of_customer(page, subject.zone)

    try:
        return _json(await portal.rating.ask(question))
    except NotExplained as error:
        raise missing(str(error)) from None
    except BadEventsCursor as error:
        raise wrong("cursor", str(error)) from None


async def explained_line_of(portal: OpenedPortal, invoice_id: str, number: int) -> JsonObject:
    """What ``rating.explain.explain`` says of a line of the account. Raises Problem (404)."""

    def question(client: Client) -> JsonObject:
        subject = subject_of_customer(client, portal, invoice_id, number)
        return explain(client, portal.rating.ledgers, subject)

    try:
        return await portal.rating.ask(question)
    except NotExplained as error:
        raise missing(str(error)) from None


def subject_of_customer(client: Client, portal: OpenedPortal, invoice_id: str, number: int) -> Subject:
    """A line of an invoice of the account. Raises Problem (404), NotExplained. Blocking."""
    portal.read_invoice(client, invoice_id)
    return read_subject(client, portal.rating.ledgers, portal.view.namespace, invoice_id, number)


def events_behind(client: Client, subject: Subject, cursor: str | None, limit: int = 100) -> EventsPage:
    """A page of the line's events; none for a line without usage. Raises BadEventsCursor. Blocking."""
    if subject.need is None:
        return EventsPage((), None)
    return read_events(client, subject.query, cursor=cursor, limit=limit)


def _json(answer: JsonObject) -> Response:
    return Response(encoded(answer), media_type="application/json")
