"""The console's page of an account: usage by day, the running period, prepaid credits, its invoices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from rating.api.usage import projection
from rating.console.chart import bars
from rating.console.html import Html, join, page, table, tag
from rating.console.text import grouped, local_span, money
from rating.console.views import drafts, header, heads, total_line
from rating.invoices.lists import Page
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject
from schemas.values.time_zones import parse_zone

TOPUPS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class UsageForm:
    """What the form above the bars asks: ``metric`` of ``metrics`` in [``start``, ``end``), local dates. ``usage``: the
    answer by day, None where ``problem`` says why there is none or there is no metric."""

    metrics: Sequence[str]
    metric: str
    start: str
    end: str
    usage: JsonObject | None = None
    problem: str | None = None


def account(
    *,
    namespace: str,
    account_id: str,
    running: JsonObject,
    form: UsageForm,
    invoices: Page,
    balance: JsonObject,
    entries: JsonObject,
    topups: JsonObject,
    waiting: Page,
) -> Html:
    """``running``, ``balance``, ``entries``, ``topups``: what the API says of the running period and of prepaid credit;
    ``waiting``: drafts."""
    problems = [tag("p", problem, class_="bad", role="alert") for problem in running.get("problems", ())]
    estimates = [estimate(subscription) for subscription in running["subscriptions"]]
    return page(
        account_id,
        header(namespace),
        tag("h1", account_id),
        tag("p", running["time_zone"], class_="soft"),
        tag("h2", "Usage by day"),
        _form(namespace, form),
        tag("p", form.problem, class_="bad", role="alert") if form.problem else None,
        history(form.usage) if form.usage is not None else None,
        tag("h2", "Running period"),
        problems,
        estimates or tag("p", "no subscription is running", class_="soft"),
        prepaid(balance, entries),
        topped_up(topups),
        drafts(namespace, waiting),
        tag("h2", "Invoices"),
        heads(namespace, invoices.invoices),
    )


def _form(namespace: str, form: UsageForm) -> Html:
    options = [tag("option", name, value=name, selected=name == form.metric) for name in form.metrics]
    return tag(
        "form",
        tag("input", type="hidden", name="namespace", value=namespace),
        tag("label", "Metric", tag("select", options, name="metric")),
        tag("label", "From (local date)", tag("input", name="from", value=form.start, size=12)),
        tag("label", "To (not included)", tag("input", name="to", value=form.end, size=12)),
        tag("button", "Show", class_="first"),
        method="get",
        class_="line",
    )


def prepaid(balance: JsonObject, entries: JsonObject) -> Html | None:
    """Credit grants in the order in which invoices draw on them, what is live, and the latest entries; nothing where
    there are none."""
    if not balance["grants"]:
        return None
    amounts = ("granted", "settled", "pending", "running", "live")
    rows = [
        (
            grant["code"],
            grant["state"],
            (grant["expires"] or "never")[:10],
            *(money(grant[name], grant["currency"]) for name in amounts),
        )
        for grant in balance["grants"]
    ]
    columns = ("Credit grant", "State", "Expires (UTC)", *map(str.capitalize, amounts))
    return join(
        tag("h2", "Prepaid credits"),
        [tag("p", problem, class_="bad", role="alert") for problem in balance["problems"]],
        table(columns, rows, frozenset(range(3, 3 + len(amounts)))),
        [total_line("Live balance", total["live"], total["currency"]) for total in balance["balances"]],
        tag("p", "Live is what is left once what ended (pending) and what is running is billed.", class_="soft"),
        tag("details", tag("summary", "Latest entries"), _entries(entries)),
    )


def topped_up(topups: JsonObject) -> Html | None:
    """The newest requests to buy prepaid credit anew, as they stand; nothing where there are none."""
    if not topups["topups"]:
        return None
    rows = [
        (
            topup["at"],
            topup["state"],
            topup["topup_id"],
            f"{grouped(topup['amount'])} {topup['currency']}",
            f"{grouped(topup['cost'])} {topup['cost_currency']}",
            grouped(topup["balance"]),
            topup["reference"] or "",
        )
        for topup in topups["topups"]
    ]
    columns = ("At (UTC)", "State", "Top-up", "Amount", "Cost", "Balance then", "Reference")
    further = " Only the latest are shown: `weir balance --topups` has all." if topups["next_cursor"] else ""
    text = f"Requested at the floor of prepaid credit; `weir topup` answers one.{further}"
    return join(tag("h3", "Top-ups"), tag("p", text, class_="soft"), table(columns, rows, frozenset({3, 4, 5})))


def _entries(entries: JsonObject) -> Html:
    """What changed the balance, the newest first."""
    rows = [
        (
            entry["at"],
            entry["kind"],
            entry["grant"],
            entry["invoice_id"] or "",
            *(money(entry[name], entry["currency"]) for name in ("amount", "balance", "total")),
        )
        for entry in entries["entries"]
    ]
    columns = ("At (UTC)", "Kind", "Credit grant", "Invoice", "Amount", "Balance of the grant", "In all")
    latest = " Only the latest are shown: `weir balance --entries` has all." if entries["next_cursor"] else ""
    return join(table(columns, rows, frozenset({4, 5, 6})), tag("p", latest, class_="soft") if latest else None)


def history(usage: JsonObject) -> Html:
    """Bars by day, and their total."""
    zone = parse_zone(usage["time_zone"])
    values = [
        (
            f"{datetime.fromisoformat(row['from']).astimezone(zone):%m-%d}",
            None if row["quantity"] is None else Decimal(row["quantity"]),
        )
        for row in usage["rows"]
    ]
    quantity, events = (grouped(usage["total"][name]) for name in ("quantity", "events"))
    total = f"{usage['aggregation']}: {quantity} {usage['unit']} from {events} events"
    rows = [(label, grouped(value)) for label, value in values]
    numbers = tag("details", tag("summary", "As a table"), table(("Day", "Quantity"), rows, frozenset({1})))
    return join(tag("div", bars(values, usage["unit"]), class_="chart"), tag("p", total), numbers)


def estimate(subscription: JsonObject) -> Html:
    """What a subscription's running period has come to."""
    zone, currency = subscription["time_zone"], subscription["currency"]
    rows = [_charge_cells(charge, subscription) for charge in subscription["charges"]]
    rows += [
        (f"{part['kind']} {part['code']}", part["text"], "", grouped(part["amount"]), "", "", "")
        for part in subscription["reductions"]
    ]
    plan = f"plan {subscription['plan']} version {subscription['plan_version']}"
    unpriced = [part["text"] for charge in subscription["charges"] for part in charge.get("unpriced", ())]
    last_period = subscription["last_period"]
    compared = "" if last_period else " There is no invoice of the period directly before to compare with."
    columns = ("Charge", "Metric", "So far", "Amount", "At the end", "Amount then", "Last period")
    return join(
        tag("p", f"{subscription['subscription']}, {plan}: {_span(subscription, zone)}, {zone}", class_="soft"),
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


def _charge_cells(charge: JsonObject, subscription: JsonObject) -> tuple[Html | str, ...]:
    metered = bool(charge["metric"])
    return (
        _charge(charge, subscription),
        charge["metric"] or "",
        f"{grouped(charge['quantity'])} {charge['unit']}" if metered else "",
        grouped(charge["amount"]),
        grouped(charge["projected_quantity"]) if metered else "",
        grouped(charge["projected_amount"]),
        projection.shown(charge),
    )


def _charge(charge: JsonObject, subscription: JsonObject) -> Html:
    """Its code; where it is for another time than the running period, as a fee in advance is, with that time."""
    edges = ("period_start", "period_end")
    if all(charge[edge] == subscription[edge] for edge in edges):
        return join(charge["charge"])
    return join(charge["charge"], tag("p", _span(charge, subscription["time_zone"]), class_="soft"))


def _span(period: Mapping[str, str], zone: str) -> str:
    start_us, end_us = (micros(datetime.fromisoformat(period[edge])) for edge in ("period_start", "period_end"))
    return local_span(start_us, end_us, zone)
