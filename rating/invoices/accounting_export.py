"""Exports invoice lines for accounting: one row per line, with the same columns and exact decimals in CSV and
Parquet.

Columns are only ever appended. CSV has decimals and instants (RFC 3339, UTC) as text; Parquet has decimal128 and
decimal256 with scale 12, and timestamps in microseconds UTC. ``unrounded`` is text in both, since it may have more
digits. In CSV text cannot act as a formula (``csv_text.py``); Parquet has it unchanged.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, Any, Final, Literal

from clickhouse_connect.driver.client import Client

from rating.csv_text import write_rows
from rating.invoices.amounts.prepaid.overage import in_money
from rating.invoices.credit_notes import credited
from rating.invoices.lists import MAX_LIMIT, list_invoices
from rating.invoices.read import with_lines
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine
from rating.invoices.transitions import amount_paid
from rating.parquet_table import MEDIA_TYPE, ColumnKind, write_parquet
from rating.pricing import money_text, plain
from schemas.values.instants import rfc3339

ExportFormat = Literal["csv", "parquet"]
MEDIA_TYPES: Final[dict[ExportFormat, str]] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": MEDIA_TYPE,
}


@dataclass(frozen=True, slots=True)
class Column:
    """``of`` returns text, an int, a Decimal, microseconds (instants) or a decimal's text (exact); None if the line
    has no value."""

    name: str
    kind: ColumnKind
    of: Callable[[StoredInvoiceHead, StoredInvoiceLine], Any]
    about: str


def _money(amount: Decimal, head: StoredInvoiceHead) -> Decimal:
    return Decimal(money_text(amount, head.currency))


COLUMNS: Final[tuple[Column, ...]] = (
    Column("namespace", "text", lambda head, line: head.namespace, "namespace of the invoice"),
    Column("invoice_id", "text", lambda head, line: head.invoice_id, "with line it names the row"),
    Column("invoice_version", "integer", lambda head, line: head.version, "version that stands"),
    Column("state", "text", lambda head, line: head.state, "draft, finalized, void or paid"),
    Column("account_id", "text", lambda head, line: head.account_id, "who pays"),
    Column("subscription", "text", lambda head, line: head.subscription, "code of the subscription"),
    Column("plan", "text", lambda head, line: head.plan, "code of the invoice's plan, at its period's end"),
    Column("plan_version", "integer", lambda head, line: head.plan_version, "its version"),
    Column("invoice_period_start", "instant", lambda head, line: head.period_start_us, "of the invoice, included"),
    Column("invoice_period_end", "instant", lambda head, line: head.period_end_us, "of the invoice, excluded"),
    Column("time_zone", "text", lambda head, line: head.time_zone, "IANA zone of the period's local dates"),
    Column(
        "currency",
        "text",
        lambda head, line: head.currency,
        "ISO 4217 code, or own unit, of all amounts but invoice_payable",
    ),
    Column("invoice_total", "money", lambda head, line: Decimal(head.total), "sum of the invoice's lines"),
    Column("invoice_subtotal", "money", lambda head, line: Decimal(head.subtotal), "the same before prepaid credits"),
    Column("line", "integer", lambda head, line: line.number, "1, 2, …"),
    Column("kind", "text", lambda head, line: line.kind, "usage, flat, adjustment, …"),
    Column("charge", "text", lambda head, line: line.charge, "code of the charge on the plan"),
    Column("product", "text", lambda head, line: line.product, "code of the product"),
    Column("description", "text", lambda head, line: line.description, "for people"),
    Column("period_start", "instant", lambda head, line: line.period_start_us, "of the line, included"),
    Column("period_end", "instant", lambda head, line: line.period_end_us, "of the line, excluded"),
    Column("quantity", "quantity", lambda head, line: line.quantity, "empty where the line has no usage"),
    Column("unit", "text", lambda head, line: line.unit, "of the quantity"),
    Column("events", "integer", lambda head, line: line.events, "events behind the quantity"),
    Column("amount", "money", lambda head, line: Decimal(line.amount), "what the line comes to"),
    Column("unrounded", "exact", lambda head, line: line.unrounded, "the exact amount before its one rounding"),
    Column("profile", "text", lambda head, line: line.profile_id or None, "meter.profile that was measured"),
    Column("adjusts", "text", lambda head, line: line.adjusts or None, "invoice that an adjustment adjusts"),
    Column("note", "text", lambda head, line: line.note, "what the line must say"),
    Column("checkpoint", "integer", lambda head, line: head.checkpoint, "the invoice is as of it"),
    Column("run_id", "text", lambda head, line: head.run_id, "billing run that wrote it"),
    Column("as_of", "instant", lambda head, line: head.as_of_us, "the checkpoint's instant"),
    Column(
        "invoice_number", "text", lambda head, line: head.number, "gapless in the namespace; empty before it is given"
    ),
    Column("due_date", "text", lambda head, line: head.body.due_date, "local date by which it is to be paid"),
    Column(
        "invoice_amount_due",
        "money",
        lambda head, line: Decimal(head.amount_due),
        "what is still to be paid; below zero: to be paid back",
    ),
    # Additional columns instead of rows, so that the sum over an invoice's rows is its total.
    Column(
        "invoice_amount_credited",
        "money",
        lambda head, line: _money(amount_paid(head.body.credit_notes), head),
        "of its credit notes; in no row's amount",
    ),
    Column(
        "amount_credited",
        "money",
        lambda head, line: _money(credited(head.body.credit_notes, line.number)[0], head),
        "of credit notes that name the line",
    ),
    Column(
        "line_plan", "text", lambda head, line: line.plan or head.plan, "code of the plan that the line was priced by"
    ),
    Column("line_plan_version", "integer", lambda head, line: line.plan_version or head.plan_version, "its version"),
    Column("invoice_credits_applied", "money", lambda head, line: Decimal(head.credits_applied), "subtotal less total"),
    Column("invoice_amount_paid", "money", lambda head, line: Decimal(head.amount_paid), "less what was paid back"),
    Column("invoice_service_start", "instant", lambda head, line: head.service_start_us, "of what it bills, included"),
    Column("invoice_service_end", "instant", lambda head, line: head.service_end_us, "of what it bills, excluded"),
    Column(
        "invoice_payable",
        "money",
        lambda head, line: in_money(Decimal(head.amount_due), head.body),
        "of an invoice in an own unit: what invoice_amount_due comes to in money; empty where no money is due for it",
    ),
    Column(
        "invoice_payable_currency",
        "text",
        lambda head, line: None if head.body.overage is None else head.body.overage["currency"],
        "ISO 4217 code of invoice_payable",
    ),
)

Row = tuple[StoredInvoiceHead, StoredInvoiceLine]


def line_pages(
    client: Client, namespace: str, *, account_id: str | None = None, state: str | None = None
) -> Iterator[list[Row]]:
    """All lines of valid invoices, latest period first, in pages of some hundred invoices. Blocking."""
    cursor: str | None = None
    while True:
        page = list_invoices(client, namespace, account_id=account_id, state=state, cursor=cursor, limit=MAX_LIMIT)
        yield [
            (invoice.head, line) for invoice in with_lines(client, namespace, page.invoices) for line in invoice.lines
        ]
        cursor = page.next_cursor
        if cursor is None:
            return


def write_lines(out: IO[bytes], pages: Iterable[list[Row]], form: ExportFormat) -> int:
    """Write all pages as one document; returns the number of rows."""
    return _write_csv(out, pages) if form == "csv" else _write_parquet(out, pages)


def _write_csv(out: IO[bytes], pages: Iterable[list[Row]]) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    raw = [index for index, column in enumerate(COLUMNS) if column.kind != "text"]
    rows = ([[_text(column, head, line) for column in COLUMNS] for head, line in page] for page in pages)
    count = write_rows(text, [column.name for column in COLUMNS], rows, raw)
    text.detach()
    return count


def _text(column: Column, head: StoredInvoiceHead, line: StoredInvoiceLine) -> str:
    value = column.of(head, line)
    if value is None:
        return ""
    if column.kind == "instant":
        return rfc3339(value)
    if column.kind == "money":
        return format(value, "f")
    return plain(value) if column.kind == "quantity" else str(value)


def _write_parquet(out: IO[bytes], pages: Iterable[list[Row]]) -> int:
    rows = ([[column.of(head, line) for column in COLUMNS] for head, line in page] for page in pages)
    return write_parquet(out, [(column.name, column.kind) for column in COLUMNS], rows)
