"""What an account's running period has come to, charge by charge. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rating.api.usage import projection
from rating.console.frame import Frame
from rating.console.html import Html, join, table, tag
from rating.console.invoices.listed_invoices import total_line
from rating.console.text import grouped, local_days, money, rounded
from rating.console.usage.usage_choice import micros_of
from schemas.values.json_text import JsonObject


def estimate(frame: Frame, subscription: JsonObject) -> Html:
    """What a subscription's running period has come to."""
    zone, currency = subscription["time_zone"], subscription["currency"]
    rows = [_charge_cells(frame, charge, subscription) for charge in subscription["charges"]]
    rows += [
        (f"{part['kind']} {part['code']}", part["text"], "", grouped(part["amount"]), "", "", "")
        for part in subscription["reductions"]
    ]
    plan = join(frame.named("plan", subscription["plan"]), f" version {subscription['plan_version']}")
    unpriced = [part["text"] for charge in subscription["charges"] for part in charge.get("unpriced", ())]
    last_period = subscription["last_period"]
    compared = "" if last_period else " There is no invoice of the period directly before to compare with."
    columns = ("Charge", "Metric", "So far", "Amount", "At the end", "Amount then", "Last period")
    return join(
        tag("h3", plan),
        tag("p", _span(subscription, zone), f", {zone} · subscription {subscription['subscription']}", class_="soft"),
        [tag("p", text, class_="bad", role="alert") for text in unpriced],
        table(columns, rows, frozenset({2, 3, 4, 5, 6})),
        _subtotals(subscription),
        total_line("Estimated total", subscription["estimated_total"], currency),
        total_line("Projected to the period's end", subscription["projected_total"], currency),
        tag("p", projection.METHOD + "." + compared, class_="soft"),
    )


def _subtotals(subscription: JsonObject) -> Html | None:
    """What it comes to before prepaid credits; nothing where they pay none of it."""
    pairs = [(subscription[f"{kind}_subtotal"], subscription[f"{kind}_total"]) for kind in ("estimated", "projected")]
    if all(subtotal == total for subtotal, total in pairs):
        return None
    estimated, projected = (money(subtotal, subscription["currency"]) for subtotal, _ in pairs)
    return tag("p", f"{estimated} before prepaid credits, projected {projected}", class_="soft")


def _charge_cells(frame: Frame, charge: JsonObject, subscription: JsonObject) -> tuple[Html | str, ...]:
    metered = bool(charge["metric"])
    return (
        _charge(frame, charge, subscription),
        frame.named("metric", charge["metric"]) if metered else "",
        rounded(charge["quantity"], charge["unit"]) if metered else "",
        grouped(charge["amount"]),
        rounded(charge["projected_quantity"], charge["unit"]) if metered else "",
        grouped(charge["projected_amount"]),
        projection.shown(charge),
    )


def _charge(frame: Frame, charge: JsonObject, subscription: JsonObject) -> Html:
    """Its code; where it is for another time than the running period, as a fee in advance is, with that time."""
    name = _name(frame, charge)
    edges = ("period_start", "period_end")
    if all(charge[edge] == subscription[edge] for edge in edges):
        return name
    return join(name, tag("p", _span(charge, subscription["time_zone"]), class_="soft"))


def _name(frame: Frame, charge: JsonObject) -> Html:
    """What is sold, with the charge's code behind it where that is another."""
    product = charge["product"]
    name = frame.name_of("product", product) or product
    return join(name, " ", tag("span", charge["charge"], class_="soft code") if charge["charge"] != name else None)


def _span(period: Mapping[str, str], zone: str) -> str:
    start_us, end_us = (micros_of(period[edge]) for edge in ("period_start", "period_end"))
    return local_days(start_us, end_us, zone)
