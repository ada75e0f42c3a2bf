"""Reads the credit notes of all invoices from ClickHouse in pages, newest first, each from ``invoice_lists`` in their
order: a page costs a page, however many invoices there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from rating.invoices.lists import MAX_LIMIT, BadCursor
from rating.invoices.read import read_listed_heads
from rating.invoices.stored_invoice import StoredInvoiceHead
from schemas.values.instants import micros, parse_rfc3339
from schemas.values.json_text import JsonObject

# All of the sorting key, so that ClickHouse reads in its order and stops.
_PAGE: Final = """
SELECT toUnixTimestamp64Micro(period_start) AS at_us, invoice_id, subscription FROM invoice_lists
WHERE namespace = {namespace:String} AND draft = false AND list = 'note' AND of = {account:String} %s
ORDER BY namespace DESC, draft DESC, list DESC, of DESC, period_start DESC, place DESC,
    invoice_id DESC, version DESC
LIMIT 1 BY period_start, invoice_id LIMIT {limit:UInt32}"""
_UP_TO: Final = """AND (period_start < fromUnixTimestamp64Micro({at_us:Int64}, 'UTC')
    OR (period_start = fromUnixTimestamp64Micro({at_us:Int64}, 'UTC') AND invoice_id <= {invoice_id:String}))"""


@dataclass(frozen=True, slots=True)
class NotePage:
    """A page of credit notes with their invoices, newest first; ``next_cursor``: None on the last page."""

    notes: tuple[tuple[StoredInvoiceHead, Mapping[str, Any]], ...]
    next_cursor: str | None

    def to_json(self) -> JsonObject:
        """Ready for json.dumps."""
        return {"credit_notes": [_json(head, note) for head, note in self.notes], "next_cursor": self.next_cursor}


def list_credit_notes(
    client: Client, namespace: str, *, account_id: str | None = None, cursor: str | None = None, limit: int = 50
) -> NotePage:
    """A page of credit notes. Raises BadCursor. Blocking."""
    limit = min(max(limit, 1), MAX_LIMIT)
    # A place has all notes of an invoice of one instant; the cursor's own perhaps none that is left.
    parameters: JsonObject = {"namespace": namespace, "account": account_id or "", "limit": limit + 2}
    before = None if cursor is None else _parse(cursor)
    if before is not None:
        parameters["at_us"], parameters["invoice_id"], _ = before
    rows = client.query(_PAGE % ("" if before is None else _UP_TO), parameters=parameters).result_rows
    places = [(int(at_us), str(name)) for at_us, name, _ in rows]
    heads = read_listed_heads(client, namespace, {str(name): str(subscription) for _, name, subscription in rows})
    listed = [
        (at_us, name, number)
        for at_us, name in places
        if (head := heads.get(name)) is not None
        for number, note in reversed([*enumerate(head.body.credit_notes, 1)])
        if micros(parse_rfc3339(note["at"])) == at_us and (before is None or (at_us, name, number) < before)
    ]
    page = listed[:limit]
    notes = tuple((heads[name], heads[name].credit_notes[number - 1]) for _, name, number in page)
    following = f"{page[-1][0]}_{page[-1][2]}_{page[-1][1]}" if len(listed) > limit else None
    return NotePage(notes, following)


def _parse(cursor: str) -> tuple[int, str, int]:
    """When a note was made, its invoice and its number there."""
    at, _, remainder = cursor.partition("_")
    number, _, name = remainder.partition("_")
    numeric = (at + number).isascii() and at.isdigit() and number.isdigit()
    if not name or not numeric or max(len(at), len(number)) > 18:
        raise BadCursor(f"{cursor[:40]!r} is no cursor of this list; take next_cursor of the page before")
    return int(at), name, int(number)


def _json(head: StoredInvoiceHead, note: Mapping[str, Any]) -> JsonObject:
    invoice = {
        "invoice_id": head.invoice_id, "invoice_number": head.number, "account_id": head.account_id,
        "subscription": head.subscription, "currency": head.currency,
    }  # fmt: skip
    return invoice | dict(note)
