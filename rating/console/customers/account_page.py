"""The console's page of an account: usage, the running period, prepaid credits, its invoices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rating.console.catalog.entry_list import create_link
from rating.console.customers.limits_panel import limited
from rating.console.customers.prepaid_panel import prepaid, topped_up
from rating.console.customers.running_charges import estimate
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.invoices.listed_invoices import drafts, heads
from rating.console.usage.usage_choice import ShownUsage
from rating.console.usage.usage_panel import metric_table, panel
from rating.invoices.lists import Page
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class HeldSubscription:
    """A subscription of the account: ``start`` and ``end`` as they were written, ``end`` "" for none."""

    code: str
    plan: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class AccountAnswers:
    """What the API says of an account; None where ``problems`` says why it says nothing."""

    running: JsonObject | None
    balance: JsonObject | None
    entries: JsonObject | None
    topups: JsonObject | None
    limits: JsonObject | None
    invoices: Page
    waiting: Page
    problems: Sequence[str] = ()


def account_opening(frame: Frame, account_id: str, time_zone: str, subscriptions: Sequence[HeldSubscription]) -> Html:
    """What the catalog says of it: there at once, whatever takes its time below."""
    changed = frame.link("Name and time zone", "catalog", "accounts", "form", code=account_id)
    return join(
        tag("h1", frame.name_of("account", account_id) or account_id),
        tag("p", tag("code", account_id), " · ", time_zone, " · ", changed, class_="soft"),
        _subscribed(frame, account_id, subscriptions),
        create_link(frame, "subscriptions", "Subscribe to a plan", account=account_id),
    )


def account_usage(frame: Frame, account_id: str, shown: ShownUsage) -> Html:
    """The metric that was asked for."""
    return join(
        tag("h2", "Usage", id="usage"),
        panel(frame, shown, ("accounts", account_id)),
        _report(frame, account_id, shown),
    )


def account_money(frame: Frame, account_id: str, answers: AccountAnswers) -> Html:
    """The running period, limits, prepaid credits and invoices, with what is the matter with them first."""
    problems = [*answers.problems, *(answers.running or {}).get("problems", ())]
    return join(
        tag("h2", "Running period", id="charges"),
        [tag("p", problem, class_="bad", role="alert") for problem in problems],
        _charges(frame, answers.running),
        None if answers.limits is None else limited(answers.limits),
        None if answers.balance is None or answers.entries is None else prepaid(answers.balance, answers.entries),
        None if answers.topups is None else topped_up(answers.topups),
        drafts(frame, answers.waiting),
        tag("h2", "Invoices", id="invoices"),
        heads(frame, answers.invoices.invoices),
        tag("p", frame.link("All invoices of this customer", "invoices", account_id=account_id))
        if answers.invoices.next_cursor
        else None,
    )


def _subscribed(frame: Frame, account_id: str, subscriptions: Sequence[HeldSubscription]) -> Html:
    if not subscriptions:
        return tag("p", tag("strong", "No subscription: "), "its usage is metered, and billed by nothing.")
    parts: list[Child] = []
    for held in subscriptions:
        until = f" to {held.end} (not included)" if held.end else ""
        changed = frame.link(held.code, "catalog", "subscriptions", "form", code=held.code)
        parts.append(tag("li", frame.named("plan", held.plan), f" from {held.start}{until} · ", changed))
    return tag("ul", parts, class_="plain")


def _report(frame: Frame, account_id: str, shown: ShownUsage) -> Html | None:
    """The same as a report, with its documents."""
    choice = shown.choice
    if not choice.metric:
        return None
    span: dict[str, str | None] = {"from": choice.start or None, "to": choice.end or None}
    query = {"metric": choice.metric, "account_id": account_id, "group_by": choice.step} | span
    return tag("p", frame.link("As a report, with CSV and Parquet", "reports", "usage", **query))


def account_metrics(frame: Frame, account_id: str, shown: ShownUsage) -> Html:
    """The totals of all metrics."""
    listed = metric_table(frame, shown, ("accounts", account_id))
    why = None
    if shown.totals and not any(total["total"]["events"] for total in shown.totals):
        query = {"account_id": account_id, "metric": shown.choice.metric}
        doctor = frame.link("Why is there no usage?", "doctor", **query)
        why = tag("p", "No event of this time counts for any metric. ", doctor)
    return join(tag("h3", "All metrics of this time") if listed else None, why, listed)


def _charges(frame: Frame, running: JsonObject | None) -> Html:
    if running is None or not running["subscriptions"]:
        return tag("p", "no subscription is running", class_="soft")
    return join([estimate(frame, subscription) for subscription in running["subscriptions"]])


def unknown_account(
    frame: Frame, account_id: str, near: Sequence[str], shown: ShownUsage
) -> Html:  # fmt: skip
    """An account that the catalog does not have. ``near``: accounts that are called alike; ``shown.totals``: what its
    events of this month come to all the same."""
    sent = [total for total in shown.totals if total["total"]["events"]]
    steps: list[Child] = []
    if near:
        links = [join(", " if index else None, frame.account(code)) for index, code in enumerate(near)]
        steps.append(tag("p", "Did you mean ", links, "?"))
    if sent:
        steps.append(tag("p", "Events of this name came this month, and are billed by nothing:"))
        steps.append(metric_table(frame, shown, ("accounts", account_id)))
    else:
        query = {"account_id": account_id, "metric": shown.choice.metric or None}
        steps.append(tag("p", "No event of this name came this month. ", frame.link("Look closer", "doctor", **query)))
    steps.append(tag("p", "A line like this in a catalog document makes it a customer (`weir apply -f catalog.yaml`):"))
    steps.append(tag("pre", f"accounts: [{{code: {account_id!r}, name: NAME, time_zone: America/New_York}}]"))
    title = "There is no such customer"
    return frame.page("accounts", title, tag("h1", title), tag("p", tag("code", account_id)), steps)


def customer_rows(frame: Frame, rows: Sequence[tuple[str, str, Sequence[str]]]) -> Html:
    """(account, time zone, plans) each, as a table."""
    cells = [
        (
            frame.account(code),
            join([join(", " if index else None, frame.named("plan", plan)) for index, plan in enumerate(plans)])
            if plans
            else tag("span", "no subscription", class_="soft"),
            zone,
        )
        for code, zone, plans in rows
    ]
    return table(("Customer", "Plan", "Time zone"), cells)
