"""The console's page of one invoice line: how it came about, and a page of the events behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import grouped, local
from rating.explain.counted_events import EventsPage, ExplainedEvent
from schemas.values.json_text import JsonObject


def explained_line(frame: Frame, answer: JsonObject, events: EventsPage | None, zone: str) -> Html:
    """``answer`` is what the API's explain says; ``events`` None for a line without usage."""
    name, number = answer["invoice_id"], answer["line"]
    period, checkpoint = answer["period"], answer["checkpoint"]
    local_period = f"{period['local_start']} to {period['local_end']} (not included), {period['time_zone']}"
    as_of = f"as of checkpoint {checkpoint['number']}, {checkpoint['as_of']}"
    facts = f"{local_period}; {period['start']} to {period['end']} UTC · {as_of}"
    return frame.page(
        "invoices",
        f"{answer['description']} of {name}",
        tag("h1", f"Line {number}: {answer['description']}"),
        tag("p", "of invoice ", frame.link(name, "invoices", name)),
        tag("p", answer["sentence"]),
        tag("p", facts, class_="soft"),
        *_measured(answer),
        *_amount(answer),
        *([] if answer["adjustment"] is None else _change(frame, answer["adjustment"])),
        *([] if events is None else _events(frame, answer, events, zone)),
    )


def _measured(answer: JsonObject) -> list[Child]:
    """The quantity: by which rules, and by day. Nothing for a line without usage."""
    quantity = answer["quantity"]
    if quantity is None:
        return []
    columns = ("Version", "Event", "Aggregation", "Property", "Filters", "Valid from")
    versions = [
        (
            version["version"],
            version["event_name"],
            version["aggregation"],
            ".".join(version["property"] or ()),
            _filters(version),
            version["valid_from"] or "the beginning",
        )
        for version in answer["profile"]["versions"]
    ]
    recomputed = f"{quantity['recomputed']} from {quantity['recomputed_events']} events"
    alarm = tag("p", f"The records now give {recomputed}: not as billed.", class_="bad", role="alert")
    return [
        None if quantity["agrees"] else alarm,
        tag("h2", "Measured by"),
        table(columns, versions),
        tag("h2", "Quantity by local day"),
        _days(quantity),
    ]


def _amount(answer: JsonObject) -> list[Child]:
    rounding = answer["rounding"]
    steps = [(step.get("text", ""), step.get("amount", "")) for step in answer["steps"]]
    steps.append((f"rounded {rounding['rule']}, to {rounding['digits']} digits", rounding["amount"]))
    return [tag("h2", "Amount"), table(("Step", rounding["currency"]), steps, frozenset({1}))]


def _filters(version: JsonObject) -> str:
    return " and ".join(
        f"{'.'.join(part['property'])} {part['operator']} {part['value']}" for part in version["filters"]
    )


def _days(quantity: JsonObject) -> Html:
    rows = [(row["date"], grouped(row["quantity"]), grouped(row["events"])) for row in quantity["by_day"]]
    note = None if quantity["days_add_up"] else tag("p", "Days do not add up for this aggregation.", class_="soft")
    return join(table(("Day", "Quantity", "Events"), rows, frozenset({1, 2})), note)


def _events(frame: Frame, answer: JsonObject, events: EventsPage, zone: str) -> list[Child]:
    path = ("invoices", answer["invoice_id"], "lines", str(answer["line"]))
    further = frame.link("Further events", *path, cursor=events.next_cursor)
    return [
        tag("h2", "Events"),
        tag("p", answer["quantity"]["rule"], class_="soft"),
        _events_table(events.events, zone),
        tag("p", further) if events.next_cursor is not None else None,
    ]


def _events_table(events: Sequence[ExplainedEvent], zone: str) -> Html:
    if not events:
        return tag("p", "none", class_="soft")
    rows = [
        (event.idempotency_key, local(event.us, zone), grouped(event.quantity), tag("code", event.properties))
        for event in events
    ]
    return table(("Key", "Local time", "Quantity", "Properties"), rows, frozenset({2}))


def _change(frame: Frame, change: JsonObject) -> list[Child]:
    """An adjustment: both totals, and the events that came or were voided between them."""
    adjusts = tag("p", "adjusts ", frame.link(change["adjusts"], "invoices", change["adjusts"]))
    if change["before"] is None:
        return [tag("h2", "Before and now"), adjusts]
    rows = [
        (name, total["checkpoint"], *(grouped(total[member]) for member in ("quantity", "events", "amount")))
        for name, total in (("Billed before", change["before"]), ("Now", change["now"]))
    ]
    late, voided = change["late_events"], change["voided_events"]
    late_rows = [
        (event["idempotency_key"], event["local_time"], grouped(event["quantity"]), event["appended_at"])
        for event in late["events"]
    ]
    voided_rows = [
        (
            event["idempotency_key"],
            event["local_time"],
            grouped(event["quantity"]),
            f"{event['reason']} ({event['author']})",
            event["voided_at"],
        )
        for event in voided["events"]
    ]
    return [
        tag("h2", "Before and now"),
        adjusts,
        table(("", "Checkpoint", "Quantity", "Events", "Amount"), rows, frozenset({1, 2, 3, 4})),
        tag("h2", f"Late events ({late['count']})"),
        table(("Key", "Local time", "Quantity", "Received"), late_rows, frozenset({2})),
        tag("h2", f"Voided events ({voided['count']})"),
        table(("Key", "Local time", "Quantity", "Reason", "Voided"), voided_rows, frozenset({2})),
    ]
