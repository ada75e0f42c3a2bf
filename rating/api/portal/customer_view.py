"""What of an answer is for the customer: only what is named here, so that nothing of the seller's own gets out by
being added to an answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from rating.explain.counted_events import EventsPage
from rating.invoices.stored_invoice import WholeInvoice
from schemas.values.json_text import JsonObject

_LINE: Final = (
    "number", "kind", "product", "description", "profile", "period_start", "period_end", "quantity", "events", "unit",
    "amount", "steps", "note", "adjusts",
)  # fmt: skip
_EXPLAINED: Final = ("invoice_id", "line", "kind", "product", "description", "period", "steps", "rounding", "note")
_QUANTITY: Final = (
    "billed", "events", "unit", "rule", "events_shown", "days_add_up", "by_day", "by_dimensions",
)  # fmt: skip
_EVENT: Final = (
    "idempotency_key", "source", "event_name", "timestamp", "local_time", "quantity", "value", "dimensions",
    "properties",
)  # fmt: skip


def of_customer(head: JsonObject) -> JsonObject:
    """An invoice's head without who of the seller decided on it, and why it is void."""
    named = {name: [entry | {"author": ""} for entry in head[name]] for name in ("payments", "credit_notes")}
    void = head["void"] and head["void"] | {"author": "", "reason": ""}
    return head | named | {"void": void, "approved": None}


def invoice_of_customer(whole_invoice: WholeInvoice) -> JsonObject:
    """An invoice whole, its lines without their prices: the steps say what each came to."""
    lines = [_named(line.to_json(), _LINE) for line in whole_invoice.lines]
    return {"invoice": of_customer(whole_invoice.head.to_json()), "lines": lines}


def line_of_customer(answer: JsonObject) -> JsonObject:
    """What explains a line, of the answer of ``rating.explain.explain``: without the seller's rules of measuring, which
    may name others, and without who took events back."""
    quantity, profile = answer["quantity"], answer["profile"]
    return _named(answer, _EXPLAINED) | {
        "as_of": answer["checkpoint"]["as_of"],
        "metric": profile and profile["id"],
        "aggregation": profile and profile["aggregation"],
        "event_names": sorted({version["event_name"] for version in profile["versions"]}) if profile else [],
        "quantity": quantity and _named(quantity, _QUANTITY),
        "adjustment": answer["adjustment"] and _adjustment(answer["adjustment"]),
    }


def events_of_customer(page: EventsPage, zone: ZoneInfo) -> JsonObject:
    """A page of a line's events, ready for msgspec.json.encode."""
    return {"events": [_event(event.to_json(zone)) for event in page.events], "next_cursor": page.next_cursor}


def encoded(answer: JsonObject) -> bytes:
    """The JSON of an answer in which properties stand as they were sent."""
    return msgspec.json.encode(answer)


def _adjustment(change: JsonObject) -> JsonObject:
    late, voided = change["late_events"], change["voided_events"]
    return {
        "adjusts": change["adjusts"],
        "difference": change["difference"],
        "before": change["before"] and _named(change["before"], ("quantity", "events", "amount")),
        "now": _named(change["now"], ("quantity", "events", "amount")),
        "late_events": None if late is None else late["count"],
        "taken_back_events": None if voided is None else voided["count"],
    }


def _event(event: JsonObject) -> JsonObject:
    return _named(event, _EVENT)


def _named(values: JsonObject, names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names}


def live_of_customer(answer: JsonObject) -> JsonObject:
    """A balance, or running periods, without the seller's problems, and without positions, which say how much all
    customers together use."""
    return answer | {"problems": [], "as_of": answer["as_of"] | {"positions": []}}
