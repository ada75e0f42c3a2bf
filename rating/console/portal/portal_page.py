"""The first page of a customer's portal: usage by day, the estimate, limits, credit, invoices. Its links lead nowhere
but within the portal. Pure."""

from __future__ import annotations

from decimal import Decimal

from rating.console.chart import bars
from rating.console.customers.limits_panel import limited
from rating.console.customers.running_charges import estimate
from rating.console.frame import Frame
from rating.console.html import Html, join, table, tag
from rating.console.portal.portal_frame import PortalFrame
from rating.console.text import grouped, local_days, money, rounded
from rating.console.usage.usage_choice import local_label, micros_of
from schemas.values.json_text import JsonObject
from schemas.values.time_zones import parse_zone


def portal_page(portal: PortalFrame, answer: JsonObject) -> Html:
    """``answer``: as GET /v1/portal gives it."""
    frame = Frame(portal.seller, name_of=portal.name_of)
    name = answer["name"] or answer["account_id"]
    subscriptions = answer["running"]["subscriptions"]
    limits = {"entitlements": answer["entitlements"], "problems": [], "reservations": [], "next_cursor": None}
    incomplete = "Some of it cannot be shown at present; what is shown is right as far as it goes."
    return portal.page(
        name,
        tag("h1", name),
        tag("p", f"Days and months in {answer['time_zone']}", class_="soft"),
        tag("p", incomplete, class_="note", role="status") if answer["incomplete"] else None,
        tag("h2", "This period"),
        [estimate(frame, one) for one in subscriptions]
        if subscriptions
        else tag("p", "No subscription is running.", class_="soft"),
        [_usage(portal, usage) for usage in answer["usage"]],
        _metrics(portal, answer["metrics"]),
        limited(limits),
        _balance(answer["balance"]),
        tag("h2", "Invoices"),
        _invoices(portal, answer["invoices"]),
        tag("h2", "Events"),
        _events(portal),
        above=False,
    )


def _usage(portal: PortalFrame, usage: JsonObject) -> Html:
    zone, unit = parse_zone(usage["time_zone"]), str(usage.get("unit") or "")
    days = [
        (local_label(row["from"], zone, "day"), None if row["quantity"] is None else Decimal(row["quantity"]))
        for row in usage["rows"]
    ]
    listed = [(day, rounded(quantity, unit)) for day, quantity in days]
    return join(
        tag("h2", portal.metric(usage["metric"]), " by day"),
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


def _metrics(portal: PortalFrame, metrics: list[JsonObject]) -> Html | None:
    links = [
        tag("li", portal.link(portal.metric(metric["metric"]), "usage", metric=metric["metric"])) for metric in metrics
    ]
    return join(tag("h2", "Look closer at"), tag("ul", links, class_="plain")) if links else None


def _events(portal: PortalFrame) -> Html:
    """A form that leads to the CSV of a time."""
    return tag(
        "form",
        tag("input", type="hidden", name="token", value=portal.token),
        tag("label", "From (empty: this month)", tag("input", name="from", size=12, placeholder="2026-01-01")),
        tag("label", "To (not included)", tag("input", name="to", size=12, placeholder="2026-02-01")),
        tag("button", "Your events as CSV"),
        action="/portal/events.csv",
        class_="line",
    )


def _invoices(portal: PortalFrame, heads: list[JsonObject]) -> Html:
    if not heads:
        return tag("p", "There is none yet.")
    rows = [
        (
            portal.link(head["number"] or head["invoice_id"], "invoices", head["invoice_id"]),
            local_days(micros_of(head["period_start"]), micros_of(head["period_end"]), head["time_zone"]),
            money(head["total"], head["currency"]),
            money(head["amount_due"], head["currency"]),
            head["state"],
            portal.link("PDF", "invoices", f"{head['invoice_id']}.pdf"),
        )
        for head in heads
    ]
    return table(("Invoice", "Period", "Total", "To pay", "State", "Print"), rows, frozenset({2, 3}))
