"""Reads the credit notes of all invoices from ClickHouse in pages, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from rating.invoices.lists import MAX_LIMIT, BadCursor
from rating.invoices.read import read_heads
from rating.invoices.stored_invoice import StoredInvoiceHead
from schemas.values.json_text import JsonObject

_PAGE: Final = """
SELECT invoice_id, toUnixTimestamp64Micro(parseDateTime64BestEffort(JSONExtractString(note, 'at'), 6, 'UTC')) AS at_us,
    JSONExtractUInt(note, 'number') AS number
FROM (
    SELECT invoice_id, body FROM invoices FINAL WHERE namespace = {namespace:String} %s
    ORDER BY version DESC LIMIT 1 BY invoice_id
)
ARRAY JOIN JSONExtractArrayRaw(body, 'credit_notes') AS note
WHERE %s ORDER BY at_us DESC, invoice_id DESC, number DESC LIMIT {limit:UInt32}"""


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
    of_account, condition = "", "1"
    limit = min(max(limit, 1), MAX_LIMIT)
    parameters: JsonObject = {"namespace": namespace, "limit": limit + 1}
    if account_id is not None:
        of_account = "AND account_id = {account_id:String}"
        parameters["account_id"] = account_id
    if cursor is not None:
        parameters["after_us"], parameters["after_id"], parameters["after_number"] = _parse(cursor)
        condition = "(at_us, invoice_id, number) < ({after_us:Int64}, {after_id:String}, {after_number:UInt64})"
    rows = client.query(_PAGE % (of_account, condition), parameters=parameters).result_rows
    page = [(str(name), int(at_us), int(number)) for name, at_us, number in rows[:limit]]
    heads = {head.invoice_id: head for head in read_heads(client, namespace, {name for name, _, _ in page})}
    notes = tuple((heads[name], heads[name].credit_notes[number - 1]) for name, _, number in page)
    following = f"{page[-1][1]}_{page[-1][2]}_{page[-1][0]}" if len(rows) > len(page) else None
    return NotePage(notes, following)


def _parse(cursor: str) -> tuple[int, str, int]:
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
