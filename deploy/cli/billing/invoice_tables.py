"""Tables of invoices and drafts, and one invoice in full, for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.ledgers.invoice_record import Invoice

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from schemas.values.json_text import JsonObject


def local_date(text: str, zone: str) -> str:
    """An instant as the account sees it: the date alone where it is local midnight."""
    from schemas.values.time_zones import parse_zone

    local = datetime.fromisoformat(text).astimezone(parse_zone(zone))
    return local.date().isoformat() if (local.hour, local.minute, local.second) == (0, 0, 0) else local.isoformat()


def heads_table(invoices: Iterable[JsonObject]) -> Group:
    """Invoices, a row each."""
    from deploy.cli.output import table

    rows = [
        (
            *_span_cells(invoice),
            *(invoice[name] for name in ("time_zone", "currency", "total", "state")),
        )
        for invoice in invoices
    ]
    columns = ("invoice", "account", "from", "to (excl.)", "time zone", "currency", "total", "state")
    return table("", columns, rows, right=("total",))


def drafts_table(drafts: Iterable[JsonObject]) -> Group:
    """Drafts, a row each: which version there is, and what it waits for."""
    from deploy.cli.output import table

    rows = [
        (
            *_span_cells(draft),
            *(draft[name] for name in ("currency", "total", "version")),
            draft["draft"]["waits"],
        )
        for draft in drafts
    ]
    columns = ("draft", "account", "from", "to (excl.)", "currency", "total", "version", "waits")
    return table("", columns, rows, right=("total", "version"))


def _span_cells(head: JsonObject) -> tuple[str, str, str, str]:
    """Id, account, and the local dates from and to which it bills."""
    start, end = (local_date(head[name], head["time_zone"]) for name in ("service_start", "service_end"))
    return head["invoice_id"], head["account_id"], start, end


def head_of_record(record: Invoice) -> JsonObject:
    """What ``heads_table`` shows of an invoice that is not published."""
    from rating.invoices.stored_invoice import service_span
    from schemas.ledgers.invoice_record import to_fields
    from schemas.values.instants import rfc3339

    start, end = service_span(record.period_start, record.period_end, record.lines)
    return {**to_fields(record), "service_start": rfc3339(start), "service_end": rfc3339(end)}


def _plans(invoice: JsonObject) -> str:
    """The plans that the invoice's charges were priced by, in the order of its lines; its own where it has no
    charges."""
    charges = [line for line in invoice["lines"] if line["kind"] in ("usage", "flat")] or [invoice]
    return ", ".join(dict.fromkeys(f"plan {charge['plan']} version {charge['plan_version']}" for charge in charges))


def invoice_parts(invoice: JsonObject) -> list[RenderableType]:
    """A whole invoice for people: head, and a table of lines with their steps below them."""
    from rich.text import Text

    from deploy.cli.output import table

    zone = invoice["time_zone"]
    number = f", number {invoice['number']}" if invoice.get("number") else ""
    start, end = local_date(invoice["service_start"], zone), local_date(invoice["service_end"], zone)
    head = (
        f"{invoice['invoice_id']} version {invoice['version']}, {invoice['state']}{number}\n"
        f"account {invoice['account_id']}, subscription {invoice['subscription']}, {_plans(invoice)}\n"
        f"period {start} to {end} (exclusive), {zone}: "
        f"{invoice['service_start']} to {invoice['service_end']}\n"
        f"as of checkpoint {invoice['checkpoint']} ({invoice['as_of']})"
    )
    if draft := invoice.get("draft"):
        head += f"\n{draft['waits']}; nothing of it is billed yet"
    if approved := invoice.get("approved"):
        head += f"\nversion {approved['draft']} of its draft was approved by {approved['author']} at {approved['at']}"
    if void := invoice.get("void"):
        head += f"\nvoid since {void['at']}, by {void['author']}: {void['reason']}"
    if invoice.get("reissues"):
        head += f"\nin place of {invoice['reissues']}, which is void"
    if invoice.get("due_date"):
        head += f"\ndue on {invoice['due_date']}"
    rows: list[tuple[object, ...]] = []
    for line in invoice["lines"]:
        quantity = "" if line["quantity"] is None else line["quantity"]
        rows.append(
            (line["number"], line["description"], quantity, line["unit"], line["price"].get("model"), line["amount"])
        )
        shown_above = (
            (invoice["service_start"], invoice["service_end"]),
            (invoice["period_start"], invoice["period_end"]),
        )
        if (line["period_start"], line["period_end"]) not in shown_above:
            span = f"{local_date(line['period_start'], zone)} to {local_date(line['period_end'], zone)} (exclusive)"
            rows.append(("", f"    {span}", "", "", "", ""))
        for step in line["steps"]:
            rows.append(("", f"    {step['text']}", "", "", "", step["amount"]))
        steps = {step["text"] for step in line["steps"]}
        if note := "; ".join(part for part in line["note"].split("; ") if part not in steps):
            rows.append(("", f"    {note}", "", "", "", ""))
    if invoice.get("subtotal", invoice["total"]) != invoice["total"]:
        rows.append(("", "Subtotal, before tax and credits", "", "", "", invoice["subtotal"]))
    rows.append(("", "Total", "", "", "", f"{invoice['total']} {invoice['currency']}"))
    for payment in invoice.get("payments", ()):
        description = f"Paid {local_date(payment['paid_at'], zone)}, {payment['reference']}"
        rows.append(("", description, "", "", "", payment["amount"]))
    for note in invoice.get("credit_notes", ()):
        rows.append(("", f"Credit note {note['number'] or ''}: {note['reason']}", "", "", "", f"-{note['amount']}"))
        for part in note.get("prepaid", ()):
            rows.append(("", f"    {part['amount']} came back to prepaid credit {part['grant']}", "", "", "", ""))
    if invoice.get("payments") or invoice.get("credit_notes"):
        rows.append(("", "Due", "", "", "", f"{invoice['amount_due']} {invoice['currency']}"))
    if payable := invoice.get("payable"):
        description = f"Due in money, at {payable['rate']} {payable['currency']}"
        rows.append(("", description, "", "", "", f"{payable['amount']} {payable['currency']}"))
    columns = ("#", "line", "quantity", "unit", "price", "amount")
    return [Text(head), table("", columns, rows, right=("#", "quantity", "amount"))]
