"""Pages of the portal: an invoice with its lines, and a line with the events behind it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rating.console.html import Child, Html, join, table, tag
from rating.console.invoices.listed_invoices import total_line
from rating.console.portal.portal_frame import PortalFrame
from rating.console.text import grouped, local_days, moment, money, rounded
from rating.console.usage.usage_choice import micros_of
from schemas.values.json_text import JsonObject


def portal_invoice(portal: PortalFrame, answer: JsonObject) -> Html:
    """``answer``: as GET /v1/portal/invoices/{invoice_id} gives it."""
    invoice = answer["invoice"]
    name, zone, currency = invoice["number"] or invoice["invoice_id"], invoice["time_zone"], invoice["currency"]
    rows = [_line(portal, invoice, line) for line in answer["lines"]]
    span = local_days(micros_of(invoice["service_start"]), micros_of(invoice["service_end"]), zone)
    return portal.page(
        f"Invoice {name}",
        tag("h1", f"Invoice {name}"),
        tag("p", f"{span}, {zone} · {invoice['state']}", class_="soft"),
        tag("p", portal.link("As PDF", "invoices", f"{invoice['invoice_id']}.pdf"), class_="screen"),
        tag("h2", "Lines"),
        table(("#", "Line", "Quantity", f"Amount ({currency})"), rows, frozenset({2, 3})),
        tag("p", f"Subtotal before prepaid credit: {money(invoice['subtotal'], currency)}")
        if invoice["subtotal"] != invoice["total"]
        else None,
        total_line("Total", invoice["total"], currency),
        list(_became(invoice)),
        tag("p", "A line's number leads to the events behind it.", class_="soft screen"),
    )


def portal_line(portal: PortalFrame, line: JsonObject, events: JsonObject) -> Html:
    """``line``, ``events``: as GET /v1/portal/invoices/{invoice_id}/lines/{number}/explain gives them."""
    period, rounding = line["period"], line["rounding"]
    steps = [(step.get("text", ""), step.get("amount", "")) for step in line["steps"]]
    steps.append((f"rounded {rounding['rule']}", rounding["amount"]))
    path = ("invoices", line["invoice_id"], "lines", str(line["line"]))
    further = events["next_cursor"]
    return portal.page(
        line["description"],
        tag("h1", f"Line {line['line']}: {line['description']}"),
        tag("p", portal.link("← The invoice", "invoices", line["invoice_id"]), class_="soft"),
        tag("p", f"{period['local_start']} to {period['local_end']} (not included), {period['time_zone']}"),
        _measured(portal, line),
        tag("h2", "Amount"),
        table(("Step", rounding["currency"]), steps, frozenset({1})),
        _change(line["adjustment"]),
        _events(events["events"], line["quantity"]),
        tag("p", portal.link("Further events", *path, cursor=further)) if further else None,
    )


def _line(portal: PortalFrame, invoice: JsonObject, line: JsonObject) -> tuple[Child, ...]:
    steps = [tag("li", str(step.get("text", ""))) for step in line["steps"]]
    return (
        portal.link(line["number"], "invoices", invoice["invoice_id"], "lines", str(line["number"])),
        join(
            tag("strong", line["description"]),
            tag("p", line["note"], class_="soft") if line["note"] else None,
            tag("ul", steps, class_="steps") if steps else None,
        ),
        "" if line["quantity"] is None else rounded(line["quantity"], line["unit"]),
        grouped(line["amount"]),
    )


def _became(invoice: JsonObject) -> Iterator[Html]:
    currency, zone = invoice["currency"], invoice["time_zone"]
    for payment in invoice["payments"]:
        yield tag("p", f"Paid {money(payment['amount'], currency)} at ", moment(payment["paid_at"], zone))
    for note in invoice["credit_notes"]:
        text = f"Credit note {note['number'] or ''} over {money(note['subtotal'], currency)}: {note['reason']}"
        yield tag("p", text)
    if invoice["void"]:
        yield tag("p", tag("strong", "Void"), " since ", moment(invoice["void"]["at"], zone))
    else:
        due = f" by {invoice['due_date']}" if invoice["due_date"] else ""
        yield tag("p", f"Due{due}: {money(invoice['amount_due'], currency)}")


def _measured(portal: PortalFrame, line: JsonObject) -> Html | None:
    quantity = line["quantity"]
    if quantity is None:
        return None
    names = ", ".join(line["event_names"])
    days = [(row["date"], grouped(row["quantity"]), grouped(row["events"])) for row in quantity["by_day"]]
    parts = [
        (", ".join(f"{name}: {value or '–'}" for name, value in row["values"].items()), grouped(row["quantity"]),
         grouped(row["events"]))
        for row in quantity["by_dimensions"] or ()
    ]  # fmt: skip
    return join(
        tag("h2", "Quantity"),
        tag("p", f"{portal.metric(line['metric'])}, {line['aggregation']} of events named {names}: ",
            rounded(quantity["billed"], quantity["unit"]), f" from {grouped(quantity['events'])} events"),
        table(("Day", "Quantity", "Events"), days, frozenset({1, 2})),
        tag("p", "Days do not add up for this kind of metric.", class_="soft") if not quantity["days_add_up"] else None,
        join(tag("h2", "By dimension"), table(("Values", "Quantity", "Events"), parts, frozenset({1, 2})))
        if parts
        else None,
    )  # fmt: skip


def _change(change: JsonObject | None) -> Html | None:
    if change is None:
        return None
    rows = [
        (name, *(grouped(total[member]) for member in ("quantity", "events", "amount")))
        for name, total in (("Billed before", change["before"]), ("Now", change["now"]))
        if total is not None
    ]
    late, back = change["late_events"] or 0, change["taken_back_events"] or 0
    return join(
        tag("h2", "Before and now"),
        table(("", "Quantity", "Events", "Amount"), rows, frozenset({1, 2, 3})),
        tag("p", f"{late} events came late, {back} were taken back.", class_="soft"),
    )


def _events(events: list[JsonObject], quantity: JsonObject | None) -> Html | None:
    if quantity is None:
        return tag("p", "No events stand behind this line.", class_="soft")
    rows = [
        (event["idempotency_key"], event["local_time"], grouped(event["quantity"]),
         tag("code", _text(event["properties"])))
        for event in events
    ]  # fmt: skip
    listed = table(("Key", "Local time", "Quantity", "Properties"), rows, frozenset({2}))
    return join(tag("h2", "Events"), tag("p", quantity["rule"], class_="soft"), listed)


def _text(properties: object) -> str:
    return bytes(properties).decode() if isinstance(properties, msgspec.Raw) else str(properties)
