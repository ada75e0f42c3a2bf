"""Routes of the console's pages of one invoice and one of its lines."""

from __future__ import annotations

import io
from typing import IO, Final

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Request
from fastapi.responses import Response

from rating.api.downloads import document_file, download
from rating.api.invoices.pdf import pdf_answer
from rating.api.query_scheduler import GoOn, interruptible
from rating.api.rating_problems import missing, wrong
from rating.console.html import Html
from rating.console.invoices import invoice_page
from rating.console.invoices.invoice_list import STATES, InvoiceFilter, invoice_list
from rating.console.invoices.line_page import explained_line
from rating.console.invoices.listing import CSV_COLUMNS, BadMonth, csv_pages, read_page
from rating.console.login.visit import Visit, Visiting
from rating.console.page_answers import page_of
from rating.csv_text import write_rows
from rating.explain import BadEventsCursor, NotExplained, explain, read_subject
from rating.explain.counted_events import read_events
from rating.invoices.lists import BadCursor, Page
from rating.invoices.read import read_invoice
from rating.invoices.stored_invoice import WholeInvoice

router = APIRouter(include_in_schema=False)

_NUMBERS: Final = frozenset(
    CSV_COLUMNS.index(name)
    for name in ("period_start", "period_end", "due_date", "subtotal", "total", "amount_paid", "amount_due")
)


@router.get("/invoices")
async def invoices(
    visit: Visiting,
    state: str = "",
    account_id: str = "",
    month: str = "",
    number: str = "",
    cursor: str | None = None,
) -> Response:
    criteria, namespace = _filter(state, account_id, month, number), visit.view.namespace
    try:
        page = await visit.rating.ask(lambda client: read_page(client, namespace, criteria, cursor))
    except (BadCursor, BadMonth) as error:
        return page_of(invoice_list(visit.frame, criteria, Page((), None), cursor, str(error)), 422)
    return page_of(invoice_list(visit.frame, criteria, page, cursor))


@router.get("/invoices.csv")
async def invoices_csv(
    request: Request, visit: Visiting, state: str = "", account_id: str = "", month: str = "", number: str = ""
) -> Response:
    criteria, namespace = _filter(state, account_id, month, number), visit.view.namespace

    def written(client: Client, go_on: GoOn) -> IO[bytes]:
        out = document_file()
        text = io.TextIOWrapper(out, encoding="utf-8", newline="")
        pages = csv_pages(client, namespace, criteria, lambda code: visit.frame.name_of("account", code))
        write_rows(text, CSV_COLUMNS, interruptible(pages, go_on), raw=_NUMBERS, ending="\r\n")
        text.flush()
        text.detach()
        return out

    try:
        document = await visit.rating.ask_long(written, request)
    except (BadCursor, BadMonth) as error:
        raise wrong("month", str(error)) from None
    return download(document, "text/csv; charset=utf-8", f"{namespace}-invoices.csv")


def _filter(state: str, account_id: str, month: str, number: str) -> InvoiceFilter:
    known = state if state in {name for name, _ in STATES} else ""
    return InvoiceFilter(known, account_id.strip(), month.strip(), number.strip())


@router.get("/invoices/{invoice_id}.pdf")
async def invoice_pdf(visit: Visiting, invoice_id: str) -> Response:
    return await pdf_answer(visit.rating, visit.view, await _whole(visit, invoice_id))


@router.get("/invoices/{invoice_id}")
async def invoice(visit: Visiting, invoice_id: str, done: str = "") -> Response:
    return page_of(invoice_page.invoice(visit.frame, await _whole(visit, invoice_id), done))


async def _whole(visit: Visit, invoice_id: str) -> WholeInvoice:
    namespace = visit.view.namespace
    whole_invoice = await visit.rating.ask(lambda client: read_invoice(client, namespace, invoice_id))
    if whole_invoice is None:
        raise missing(f"there is no invoice {invoice_id[:64]} in {namespace}; search by its number above")
    return whole_invoice


@router.get("/invoices/{invoice_id}/lines/{number}")
async def line(visit: Visiting, invoice_id: str, number: int, cursor: str | None = None) -> Response:
    rating, namespace = visit.rating, visit.view.namespace

    def question(client: Client) -> Html:
        subject = read_subject(client, rating.ledgers, namespace, invoice_id, number)
        events = None
        if subject.need is not None:
            try:
                events = read_events(client, subject.query, cursor=cursor)
            except BadEventsCursor:
                events = read_events(client, subject.query)
        return explained_line(visit.frame, explain(client, rating.ledgers, subject), events, subject.zone.key)

    try:
        return page_of(await rating.ask(question))
    except NotExplained as error:
        raise missing(str(error)) from None
