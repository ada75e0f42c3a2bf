"""A customer's portal as a page: usage by day, the estimate, limits, credit, invoices. No link leads anywhere else.
Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from rating.console.chart import bars
from rating.console.customers.limits_panel import limited
from rating.console.customers.running_charges import estimate
from rating.console.frame import Frame
from rating.console.html import Html, join, page, table, tag
from rating.console.text import grouped, local_days, money, rounded
from rating.console.usage.usage_choice import local_label, micros_of
from schemas.values.json_text import JsonObject
from schemas.values.time_zones import parse_zone


def portal_page(seller: str, answer: JsonObject, name_of: Callable[[str, str], str]) -> Html:
    """``seller``: whose customer it is; ``answer``: as GET /v1/portal gives it; ``name_of``: see Frame."""
    frame = Frame(seller, name_of=name_of)
    name = answer["name"] or answer["account_id"]
    subscriptions = answer["running"]["subscriptions"]
    limits = {"entitlements": answer["entitlements"], "problems": [], "reservations": [], "next_cursor": None}
    incomplete = "Some of it cannot be shown at present; what is shown is right as far as it goes."
    return page(
        name,
        tag("p", seller, class_="soft"),
        tag("h1", name),
        tag("p", f"Days and months in {answer['time_zone']}", class_="soft"),
        tag("p", incomplete, class_="note", role="status") if answer["incomplete"] else None,
        tag("h2", "This period"),
        [estimate(frame, one) for one in subscriptions]
        if subscriptions
        else tag("p", "No subscription is running.", class_="soft"),
        [_usage(frame, usage) for usage in answer["usage"]],
        limited(limits),
        _balance(answer["balance"]),
        tag("h2", "Invoices"),
        _invoices(answer["invoices"]),
    )


def _usage(frame: Frame, usage: JsonObject) -> Html:
    zone, unit = parse_zone(usage["time_zone"]), str(usage.get("unit") or "")
    days = [
        (local_label(row["from"], zone, "day"), None if row["quantity"] is None else Decimal(row["quantity"]))
        for row in usage["rows"]
    ]
    name = frame.name_of("metric", usage["metric"]) or usage["metric"]
    listed = [(day, rounded(quantity, unit)) for day, quantity in days]
    return join(
        tag("h2", name, " by day"),
        tag("p", "In all ", rounded(usage["total"]["quantity"], unit)),
        tag("div", bars(days, unit), class_="chart", tabindex=0),
        tag("details", tag("summary", "As a table"), table(("Day", "Quantity"), listed, frozenset({1})), class_="more"),
    )


def _balance(balance: JsonObject | None) -> Html | None:
    if balance is None or not balance["balances"]:
        return None
    rows = [(total["currency"], grouped(total["live"])) for total in balance["balances"]]
    return join(
        tag("h2", "Prepaid credit"), table(("Currency", "Left, with what is not billed yet"), rows, frozenset({1}))
    )


def _invoices(heads: list[JsonObject]) -> Html:
    if not heads:
        return tag("p", "There is none yet.")
    rows = [
        (
            head["number"] or "draft",
            local_days(micros_of(head["period_start"]), micros_of(head["period_end"]), head["time_zone"]),
            money(head["total"], head["currency"]),
            money(head["amount_due"], head["currency"]),
            head["state"],
        )
        for head in heads
    ]
    return table(("Invoice", "Period", "Total", "To pay", "State"), rows, frozenset({2, 3}))
