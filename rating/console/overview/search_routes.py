"""The search over all of a namespace: accounts, invoices, credit notes, events."""

from __future__ import annotations

from functools import partial
from typing import Final

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from rating.console.customers.customer_book import customers
from rating.console.events.event_fates import MetricFate, metric_fates
from rating.console.events.read_events import event_with_matches
from rating.console.login.visit import Visiting
from rating.console.overview.search_page import SearchHits, event_page, hits_page
from rating.console.page_answers import page_of
from rating.invoices.lists import in_list_order
from rating.invoices.numbering import numbered_like
from rating.invoices.read import read_heads, read_invoice
from rating.invoices.stored_invoice import StoredInvoiceHead
from rating.voided_events import StoredEvent, stored_event

router = APIRouter(include_in_schema=False)

_LONGEST: Final = 256
_SHOWN: Final = 20


@router.get("/search")
async def search(visit: Visiting, q: str = "") -> Response:
    text, namespace, frame = q.strip()[:_LONGEST], visit.view.namespace, visit.frame
    if not text:
        return page_of(hits_page(frame, SearchHits("")))
    if visit.view.get("account", text) is not None:
        return RedirectResponse(frame.address("accounts", text), 303)

    def question(client: Client) -> tuple[list[StoredInvoiceHead], StoredEvent | None]:
        whole = read_invoice(client, namespace, text) if text.startswith("inv_") else None
        if whole is not None:
            return [whole.head], None
        invoices = in_list_order(read_heads(client, namespace, numbered_like(client, namespace, text, _SHOWN)))
        return invoices, stored_event(client, namespace, "", text)

    invoices, event = await visit.rating.ask(question)
    page = await visit.rating.compute(lambda: customers(visit.view, text, limit=_SHOWN))
    accounts = tuple(entry.code for entry in page.entries)
    if len(invoices) == 1 and not accounts and event is None:
        return RedirectResponse(frame.address("invoices", invoices[0].invoice_id), 303)
    if len(accounts) == 1 and not invoices and event is None:
        return RedirectResponse(frame.address("accounts", accounts[0]), 303)
    if event is not None and not invoices and not accounts:
        return RedirectResponse(frame.address("event", key=text), 303)
    hits = SearchHits(text, accounts, tuple(invoices), event, page.following is not None)
    return page_of(hits_page(frame, hits), 200 if accounts or invoices or event else 404)


@router.get("/event")
async def event_of_key(visit: Visiting, key: str, source: str = "") -> Response:
    namespace = visit.view.namespace
    identity = (source[:_LONGEST], key[:_LONGEST])
    event = await visit.rating.ask(lambda client: event_with_matches(client, namespace, *identity))
    zone, fates = "UTC", list[MetricFate]()
    if event is not None:
        zone = visit.view.time_zone(event.account_id)
        # In a thread: catalogs as they were are put together from all their entries.
        catalog, view = visit.rating.ledgers.catalog, visit.view
        fates = await visit.rating.compute(partial(metric_fates, catalog, view, event))
    page = event_page(visit.frame, key[:_LONGEST], source[:_LONGEST], event, zone, fates)
    return page_of(page, 200 if event else 404)
