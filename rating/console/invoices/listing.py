"""Reads what the list of invoices asks for: a page, or all of them for a CSV document, page by page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.console.invoices.invoice_list import InvoiceFilter
from rating.console.invoices.listed_invoices import state_of
from rating.invoices.lists import MAX_LIMIT, Page, cursor_before, cursor_behind, in_list_order, list_invoices
from rating.invoices.numbering import numbered_like
from rating.invoices.read import read_heads
from rating.invoices.stored_invoice import StoredInvoiceHead
from schemas.errors import WeirError
from schemas.values.instants import instant, micros, parse_rfc3339
from schemas.values.time_zones import parse_zone

SHOWN: Final = 50
_LOOKS: Final = 40
"""Pages of MAX_LIMIT that one page looks through for what matches."""
_HOUR_US: Final = 3_600_000_000
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
CSV_COLUMNS: Final = (
    "number", "invoice_id", "account_id", "account", "state", "period_start", "period_end", "time_zone", "due_date",
    "currency", "subtotal", "total", "amount_paid", "amount_due",
)  # fmt: skip


class BadMonth(WeirError, ValueError):
    """A month that is none; the message says how to write one."""


def read_page(client: Client, namespace: str, criteria: InvoiceFilter, cursor: str | None, limit: int = SHOWN) -> Page:
    """A page of invoices, those of the latest period first. Raises BadCursor and BadMonth. Blocking."""
    if criteria.number:
        named = read_heads(client, namespace, numbered_like(client, namespace, criteria.number, limit))
        return Page(tuple(head for head in in_list_order(named) if _matches(head, criteria)), None)
    after, before_us = cursor, None
    if criteria.month:
        start_us, end_us = _bounds(criteria.month)
        before_us = start_us
        after = cursor or cursor_before(end_us)
    matching: list[StoredInvoiceHead] = []
    state = "finalized" if criteria.state == "open" else criteria.state or None
    for _ in range(_LOOKS):
        page = list_invoices(
            client, namespace, account_id=criteria.account_id or None, state=state, cursor=after,
            limit=MAX_LIMIT if criteria.month or criteria.state == "open" else limit,
        )  # fmt: skip
        for head in page.invoices:
            if before_us is not None and head.period_start_us < before_us:
                return Page(tuple(matching), None)
            if _matches(head, criteria):
                if len(matching) == limit:
                    return Page(tuple(matching), cursor_behind(matching[-1]))
                matching.append(head)
        after = page.next_cursor
        if after is None:
            return Page(tuple(matching), None)
        if len(matching) == limit:
            break
    return Page(tuple(matching), after)


def csv_pages(
    client: Client, namespace: str, criteria: InvoiceFilter, name_of: Callable[[str], str]
) -> Iterator[list[tuple[object, ...]]]:
    """Rows of CSV_COLUMNS of all that a filter shows, a page at a time. ``name_of``: account → its display name.
    Blocking."""
    cursor: str | None = None
    while True:
        page = read_page(client, namespace, criteria, cursor, MAX_LIMIT)
        yield [_row(head, name_of) for head in page.invoices]
        cursor = page.next_cursor
        if cursor is None:
            return


def _row(head: StoredInvoiceHead, name_of: Callable[[str], str]) -> tuple[object, ...]:
    zone = parse_zone(head.time_zone)
    start, end = (instant(us).astimezone(zone) for us in (head.service_start_us, head.service_end_us))
    return (
        head.number, head.invoice_id, head.account_id, name_of(head.account_id), head.state, start.isoformat(),
        end.isoformat(), head.time_zone, head.body.due_date, head.currency, head.subtotal, head.total,
        head.amount_paid, head.amount_due,
    )  # fmt: skip


def _matches(head: StoredInvoiceHead, criteria: InvoiceFilter) -> bool:
    if criteria.account_id and head.account_id != criteria.account_id:
        return False
    if criteria.state == "open":
        if state_of(head) != "open":
            return False
    elif criteria.state and head.state != criteria.state:
        return False
    local = instant(head.period_start_us).astimezone(parse_zone(head.time_zone))
    return not criteria.month or f"{local:%Y-%m}" == criteria.month


def _bounds(month: str) -> tuple[int, int]:
    """Instants between which periods begin that begin in this month by any clock: microseconds UTC."""
    if _MONTH.fullmatch(month) is None:
        raise BadMonth(f"{month[:20]!r} is no month; write one as 2026-11")
    start = parse_rfc3339(f"{month}-01T00:00:00Z")
    following = (start + timedelta(days=32)).replace(day=1)
    return micros(start) - 15 * _HOUR_US, micros(following) + 15 * _HOUR_US
