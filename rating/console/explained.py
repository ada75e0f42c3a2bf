"""The console's page of one invoice line: how it came about, and a page of the events behind it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rating.console.html import Child, Html, join, link, page, table, tag
from rating.console.views import grouped, header, local
from rating.explain.events import CountedEvent, EventsPage


def explained(namespace: str, answer: Mapping[str, Any], events: EventsPage | None, zone: str) -> Html:
    """``answer`` is what the API's explain says; ``events`` None for a line without usage."""
    name, number = answer["invoice_id"], answer["line"]
    quantity, profile = answer["quantity"], answer["profile"]
    shown: list[Child] = []
    if quantity is not None:
        if not quantity["agrees"]:
            told = f"The records now give {quantity['recomputed']} from {quantity['recomputed_events']} events: not as billed."
            shown.append(tag("p", told, class_="bad", role="alert"))
        versions = [
            (one["version"], one["event_name"], one["aggregation"], ".".join(one["property"] or ()), _filters(one), one["valid_from"] or "the beginning")
            for one in profile["versions"]
        ]  # fmt: skip
        shown += [
            tag("h2", "Measured by"),
            table(("Version", "Event", "Aggregation", "Property", "Filters", "Valid from"), versions),
            tag("h2", "Quantity by local day"), _days(quantity),
        ]  # fmt: skip
    steps = [(step.get("text", ""), step.get("amount", "")) for step in answer["steps"]]
    rounding = answer["rounding"]
    steps.append((f"rounded {rounding['rule']}, to {rounding['digits']} digits", rounding["amount"]))
    shown += [tag("h2", "Amount"), table(("Step", rounding["currency"]), steps, frozenset({1}))]
    if answer["adjustment"] is not None:
        shown += _change(namespace, answer["adjustment"])
    if events is not None:
        shown += [tag("h2", "Events"), tag("p", quantity["rule"], class_="soft"), _events(events.events, zone)]
        if events.next_cursor is not None:
            more = link(
                "Further events", "invoices", name, "lines", str(number), namespace=namespace, cursor=events.next_cursor
            )
            shown.append(tag("p", more))
    period, checkpoint = answer["period"], answer["checkpoint"]
    spans = f"{period['local_start']} to {period['local_end']} (not included), {period['time_zone']}; {period['start']} to {period['end']} UTC"
    return page(
        f"{answer['description']} of {name}", header(namespace),
        tag("h1", f"Line {number}: {answer['description']}"), tag("p", "of invoice ", link(name, "invoices", name, namespace=namespace)),
        tag("p", answer["sentence"]), tag("p", f"{spans} · as of checkpoint {checkpoint['number']}, {checkpoint['as_of']}", class_="soft"),
        *shown,
    )  # fmt: skip


def _filters(version: Mapping[str, Any]) -> str:
    return " and ".join(f"{'.'.join(one['property'])} {one['operator']} {one['value']}" for one in version["filters"])


def _days(quantity: Mapping[str, Any]) -> Html:
    rows = [(row["date"], grouped(row["quantity"]), grouped(row["events"])) for row in quantity["by_day"]]
    note = None if quantity["days_add_up"] else tag("p", "Days do not add up for this aggregation.", class_="soft")
    return join(table(("Day", "Quantity", "Events"), rows, frozenset({1, 2})), note)


def _events(events: Sequence[CountedEvent], zone: str) -> Html:
    if not events:
        return tag("p", "none", class_="soft")
    rows = [
        (event.idempotency_key, local(event.us, zone), grouped(event.quantity), tag("code", event.properties))
        for event in events
    ]
    return table(("Key", "Local time", "Quantity", "Properties"), rows, frozenset({2}))


def _change(namespace: str, change: Mapping[str, Any]) -> list[Child]:
    adjusts = tag("p", "adjusts ", link(change["adjusts"], "invoices", change["adjusts"], namespace=namespace))
    if change["before"] is None:
        return [tag("h2", "Before and now"), adjusts]
    rows = [
        (name, one["checkpoint"], grouped(one["quantity"]), grouped(one["events"]), grouped(one["amount"]))
        for name, one in (("Billed before", change["before"]), ("Now", change["now"]))
    ]
    late = [
        (event["idempotency_key"], event["local_time"], grouped(event["quantity"]), event["appended_at"])
        for event in change["late_events"]["events"]
    ]
    voided = [
        (event["idempotency_key"], event["local_time"], grouped(event["quantity"]), f"{event['reason']} ({event['author']})", event["voided_at"])
        for event in change["voided_events"]["events"]
    ]  # fmt: skip
    return [
        tag("h2", "Before and now"), adjusts,
        table(("", "Checkpoint", "Quantity", "Events", "Amount"), rows, frozenset({1, 2, 3, 4})),
        tag("h2", f"Late events ({change['late_events']['count']})"),
        table(("Key", "Local time", "Quantity", "Received"), late, frozenset({2})),
        tag("h2", f"Voided events ({change['voided_events']['count']})"),
        table(("Key", "Local time", "Quantity", "Reason", "Voided"), voided, frozenset({2})),
    ]  # fmt: skip
