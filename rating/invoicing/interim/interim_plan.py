"""Plans interim invoices: of subscriptions with an ``invoice_threshold``, or of one that is named. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal

from rating.invoices.amounts.prepaid_credits import drawn, owned_grants
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import ChargeBook, Totals
from rating.invoicing.interim.interim_due import interim_due
from rating.invoicing.invoice_plan import Billing, billing_of
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.run_plan import RunPlan, build_invoices
from rating.subscriptions.shared_timelines import timelines
from rating.subscriptions.timeline import PlanningError, Timeline
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import body_of


def with_threshold(view: NamespaceView, as_of_us: int) -> frozenset[str]:
    """The subscriptions in force at ``as_of_us`` whose plan, or they themselves, have a threshold."""
    return frozenset(line.subscription for line in timelines(view, []) if _threshold(line, as_of_us) is not None)


def _threshold(line: Timeline, at_us: int) -> Decimal | None:
    holds = (segment for segment in line.segments if segment.start_us <= at_us < segment.end_us)
    return next((segment.plan.invoice_threshold for segment in holds), None)


def plan_interims(
    view: NamespaceView,
    standing: StandingInvoices,
    as_of_us: int,
    late: LateBySubscription,
    subscriptions: Collection[str],
    listed: int,
) -> RunPlan:
    """An interim invoice for each of ``subscriptions`` that can have one, whatever it comes to. ``late``: what came
    late for their billed periods, which it adjusts as any invoice does; ``listed``: as of ``RunPlan``."""
    problems: list[str] = []
    billings: list[Billing] = []
    book = ChargeBook(view, waits=True)
    for line in timelines(view, problems):
        if line.subscription not in subscriptions:
            continue
        try:
            due = interim_due(line, standing, as_of_us)
            if due is not None:
                chain = standing.chain(line.namespace, line.subscription)
                billings.append(billing_of(due, book, chain, late.get(line.subscription, ()), (), line))
        except (PlanningError, ValueError) as error:  # ValueError: dates beyond the calendar
            problems.append(f"subscription {line.subscription}: {error}")
    grants = owned_grants(view)
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
