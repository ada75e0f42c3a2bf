"""Tables of invoices and drafts, and one invoice in full, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group, RenderableType


def local_date(text: str, zone: str) -> str:
    """An instant as the account sees it: the date alone where it is local midnight."""
    from schemas.values.time_zones import parse_zone

    local = datetime.fromisoformat(text).astimezone(parse_zone(zone))
    return local.date().isoformat() if (local.hour, local.minute, local.second) == (0, 0, 0) else local.isoformat()


def heads_table(found: Iterable[Mapping[str, Any]]) -> Group:
    """Invoices, a row each."""
    from deploy.cli.output import table

    rows = [
        (
            item["invoice_id"], item["account_id"], local_date(item["service_start"], item["time_zone"]),
            local_date(item["service_end"], item["time_zone"]), item["time_zone"], item["currency"], item["total"], item["state"],
        )
        for item in found
    ]  # fmt: skip
    columns = ("invoice", "account", "from", "to (excl.)", "time zone", "currency", "total", "state")
    return table("", columns, rows, right=("total",))


def drafts_table(found: Iterable[Mapping[str, Any]]) -> Group:
    """Drafts, a row each: which version there is, and what it waits for."""
    from deploy.cli.output import table

    rows = [
        (
            item["invoice_id"], item["account_id"], local_date(item["service_start"], item["time_zone"]),
            local_date(item["service_end"], item["time_zone"]), item["currency"], item["total"], item["version"], item["draft"]["waits"],
        )
        for item in found
    ]  # fmt: skip
    columns = ("draft", "account", "from", "to (excl.)", "currency", "total", "version", "waits")
    return table("", columns, rows, right=("total", "version"))


def _head_of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    from rating.invoices.read import service_span
    from schemas.values.instants import rfc3339

    start, end = service_span(record["period_start"], record["period_end"], record["lines"])
    return {**record, "service_start": rfc3339(start), "service_end": rfc3339(end)}


def _plans(item: Mapping[str, Any]) -> str:
    """The plans that the invoice's charges were priced by, in the order of its lines; its own where it has no
    charges."""
    charges = [line for line in item["lines"] if line["kind"] in ("usage", "flat")] or [item]
    return ", ".join(dict.fromkeys(f"plan {one['plan']} version {one['plan_version']}" for one in charges))


def invoice_parts(item: Mapping[str, Any]) -> list[RenderableType]:
    """A whole invoice for people: head, and a table of lines with their steps below them."""
    from rich.text import Text

    from deploy.cli.output import table

    zone = item["time_zone"]
    number = f", number {item['number']}" if item.get("number") else ""
    head = (
        f"{item['invoice_id']} version {item['version']}, {item['state']}{number}\n"
        f"account {item['account_id']}, subscription {item['subscription']}, {_plans(item)}\n"
        f"period {local_date(item['service_start'], zone)} to {local_date(item['service_end'], zone)} (exclusive), {zone}: "
        f"{item['service_start']} to {item['service_end']}\n"
        f"as of checkpoint {item['checkpoint']} ({item['as_of']})"
    )
    if draft := item.get("draft"):
        head += f"\n{draft['waits']}; nothing of it is billed yet"
    if approved := item.get("approved"):
        head += f"\nversion {approved['draft']} of its draft was approved by {approved['author']} at {approved['at']}"
    if void := item.get("void"):
        head += f"\nvoid since {void['at']}, by {void['author']}: {void['reason']}"
    if item.get("reissues"):
        head += f"\nin place of {item['reissues']}, which is void"
    if item.get("due_date"):
        head += f"\ndue on {item['due_date']}"
    rows: list[tuple[object, ...]] = []
    for line in item["lines"]:
        quantity = "" if line["quantity"] is None else line["quantity"]
        rows.append(
            (line["number"], line["description"], quantity, line["unit"], line["price"].get("model"), line["amount"])
        )
        shown_above = (item["service_start"], item["service_end"]), (item["period_start"], item["period_end"])
        if (line["period_start"], line["period_end"]) not in shown_above:
            span = f"{local_date(line['period_start'], zone)} to {local_date(line['period_end'], zone)} (exclusive)"
            rows.append(("", f"    {span}", "", "", "", ""))
        for step in line["steps"]:
            rows.append(("", f"    {step['text']}", "", "", "", step["amount"]))
        steps = {step["text"] for step in line["steps"]}
        if note := "; ".join(part for part in line["note"].split("; ") if part not in steps):
            rows.append(("", f"    {note}", "", "", "", ""))
    if item.get("subtotal", item["total"]) != item["total"]:
        rows.append(("", "Subtotal, before tax and credits", "", "", "", item["subtotal"]))
    rows.append(("", "Total", "", "", "", f"{item['total']} {item['currency']}"))
    for payment in item.get("payments", ()):
        told = f"Paid {local_date(payment['paid_at'], zone)}, {payment['reference']}"
        rows.append(("", told, "", "", "", payment["amount"]))
    for note in item.get("credit_notes", ()):
        rows.append(("", f"Credit note {note['number'] or ''}: {note['reason']}", "", "", "", f"-{note['amount']}"))
        for part in note.get("prepaid", ()):
            rows.append(("", f"    {part['amount']} came back to prepaid credit {part['grant']}", "", "", "", ""))
    if item.get("payments") or item.get("credit_notes"):
        rows.append(("", "Due", "", "", "", f"{item['amount_due']} {item['currency']}"))
    columns = ("#", "line", "quantity", "unit", "price", "amount")
    return [Text(head), table("", columns, rows, right=("#", "quantity", "amount"))]
