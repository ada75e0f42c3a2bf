"""Plans interim invoices: of subscriptions with an ``invoice_threshold``, or of one that is named. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rating.invoices.amounts.prepaid_credits import drawn, grants_of_account
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import ChargeBook, Totals
from rating.invoicing.interim.interim_due import interim_due
from rating.invoicing.invoice_plan import Billing, billing_of
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.run_plan import RunPlan, build_invoices
from rating.subscriptions.timeline import PlanningError, Timeline, timeline
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import body_of
from schemas.settings import LISTED_VALUES
from schemas.values.record_copy import replace


def lines_with_threshold(lines: Iterable[Timeline], as_of_us: int) -> list[Timeline]:
    """Those of subscriptions in force at ``as_of_us`` whose plan, or they themselves, have a threshold."""
    return [line for line in lines if _threshold(line, as_of_us) is not None]


def _threshold(line: Timeline, at_us: int) -> Decimal | None:
    holds = (segment for segment in line.segments if segment.start_us <= at_us < segment.end_us)
    return next((segment.plan.invoice_threshold for segment in holds), None)


def named_lines(view: NamespaceView, subscriptions: Iterable[str], problems: list[str]) -> list[Timeline]:
    """The timelines of these, in order of their codes; ``problems`` gets why one cannot be planned."""
    lines: list[Timeline] = []
    for code in sorted(subscriptions):
        try:
            line = timeline(view, code)
        except (PlanningError, ValueError) as error:  # ValueError: of a body that nobody would take today
            problems.append(f"subscription {code}: {error}")
        else:
            lines += [] if line is None else [line]
    return lines


def plan_interims(
    view: NamespaceView,
    standing: StandingInvoices,
    as_of_us: int,
    late: LateBySubscription,
    lines: Iterable[Timeline],
    listed: int = LISTED_VALUES,
) -> RunPlan:
    """An interim invoice for each of ``lines`` that can have one, whatever it comes to. ``late``: what came late for
    their billed periods, which it adjusts as any invoice does; ``listed``: as of ``RunPlan``."""
    problems: list[str] = []
    billings: list[Billing] = []
    book = ChargeBook(view, waits=True)
    for line in lines:
        try:
            due = interim_due(line, standing, as_of_us)
            if due is not None:
                chain = standing.chain(line.namespace, line.subscription)
                billings.append(billing_of(due, book, chain, late.get(line.subscription, ()), (), line))
        except (PlanningError, ValueError) as error:  # ValueError: dates beyond the calendar
            problems.append(f"subscription {line.subscription}: {error}")
    accounts = dict.fromkeys(billing.due.account_id for billing in billings)
    grants = tuple(grant for account in accounts for grant in grants_of_account(view, account))
    used = drawn(standing.invoices(view.namespace)) if grants else {}
    return RunPlan(
        billings=tuple(billings), problems=tuple(problems), grants=grants, drawn=used, namespace=view.namespace,
        as_of_us=as_of_us, listed=listed,
    )  # fmt: skip


def reached(plan: RunPlan, totals: Totals, run: Run, *, anything: bool = False) -> frozenset[str]:
    """The subscriptions of ``plan`` whose use that is not billed has reached their threshold, after discounts and
    before prepaid credits; ``anything``: those that have any."""
    invoices, _ = build_invoices(replace(plan, grants=(), drawn={}), totals, run)
    thresholds = {billing.due.subscription: billing.due.plan.invoice_threshold for billing in plan.billings}
    return frozenset(
        invoice.subscription
        for invoice in invoices
        if (subtotal := Decimal(body_of(invoice).subtotal or 0)) > 0
        and (anything or subtotal >= (thresholds[invoice.subscription] or subtotal + 1))
    )


def only(plan: RunPlan, subscriptions: Iterable[str]) -> RunPlan:
    """The plan of these subscriptions alone."""
    chosen = frozenset(subscriptions)
    return replace(plan, billings=tuple(billing for billing in plan.billings if billing.due.subscription in chosen))
