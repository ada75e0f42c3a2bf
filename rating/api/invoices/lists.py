"""GET /v1/invoices, GET /v1/invoices/{id}, GET /v1/credit-notes and GET /v1/ledger."""

from __future__ import annotations

from typing import Annotated, Literal

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query

from rating.api.context import Authorized, View
from rating.api.rating_problems import missing, wrong
from rating.books import read_books
from rating.invoices.lists import MAX_LIMIT, BadCursor, list_invoices
from rating.invoices.read import read_invoice, with_lines
from rating.invoices.read_credit_notes import list_credit_notes
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


@router.get("/v1/invoices", summary="Invoices, latest period first, by pages")
async def invoices(
    *,
    rating: Authorized,
    view: View,
    account_id: Annotated[str | None, Query()] = None,
    state: Annotated[Literal["draft", "finalized", "void", "paid"] | None, Query()] = None,
    run_id: Annotated[str | None, Query(description="only what that billing run made")] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
    lines: Annotated[bool, Query(description="each whole, as `GET /v1/invoices/{invoice_id}` shows it")] = False,
) -> JsonObject:
    """Those of one period stand by subscription, and of one subscription the last of its chain first: an interim
    invoice below the period's own, a void one below what was issued anew. `next_cursor` is null on the last page.
    Drafts are listed by `state=draft` alone: they are not billed; each says what it waits for, and since when."""

    def listed(client: Client) -> JsonObject:
        page = list_invoices(
            client, view.namespace, account_id=account_id, state=state, run_id=run_id, cursor=cursor, limit=limit
        )
        shown = with_lines(client, view.namespace, page.invoices) if lines else page.invoices
        return {"invoices": [invoice.to_json() for invoice in shown], "next_cursor": page.next_cursor}

    try:
        return await rating.ask(listed)
    except BadCursor as error:
        raise wrong("cursor", str(error)) from None


@router.get("/v1/credit-notes", summary="Credit notes of all invoices, the newest first, by pages")
async def credit_notes(
    rating: Authorized,
    view: View,
    account_id: Annotated[str | None, Query()] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> JsonObject:
    """Each with its number, its invoice, and the lines that it credits, where it was made by lines."""
    try:
        page = await rating.ask(
            lambda client: list_credit_notes(client, view.namespace, account_id=account_id, cursor=cursor, limit=limit)
        )
    except BadCursor as error:
        raise wrong("cursor", str(error)) from None
    return page.to_json()


@router.get("/v1/invoices/{invoice_id}", summary="One invoice whole: lines with prices, quantities and steps")
async def invoice(rating: Authorized, view: View, invoice_id: str) -> JsonObject:
    """The newest version."""
    whole_invoice = await rating.ask(lambda client: read_invoice(client, view.namespace, invoice_id))
    if whole_invoice is None:
        raise missing(f"there is no invoice {invoice_id[:64]!r} in namespace {view.namespace}")
    return whole_invoice.to_json()


@router.get("/v1/ledger", summary="The books of events: what came, and what became of it")
async def ledger(rating: Authorized, view: View) -> JsonObject:
    """received = refused + accepted; accepted = metered + unmatched + duplicates + conflicts."""
    books = await rating.ask(lambda client: read_books(client, view.namespace, rating.held_books.event_counts))
    return books.to_json()
