"""The discounts, the commitment and the overage rate pinned on an invoice against those that the catalog has for it.

By the close's own rule of now, as of the catalog that the invoice was billed from. Those of before ``change_at`` held
for terms may have been billed by terms of another time; their amounts stand until somebody voids them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rating.invoicing.invoice_plan import period_terms
from rating.subscriptions.billing_periods import span_of
from rating.subscriptions.period_terms import Terms, pinned_terms
from rating.subscriptions.timeline import PlanningError, pinned_plan, timeline
from rating.verify.difference import Findings
from schemas.catalog.models import Plan
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.prices import plain
from schemas.values.currency import is_own_unit

REMEDY: Final = (
    "it was billed by an older rule, which took terms of another time (`change_at` did not count for them): `weir"
    " invoice void` it and `weir close` bills the period by the terms above, or leave it as it is; nothing changes"
    " by itself"
)


def check_terms(
    view: NamespaceView, chain: Iterable[Invoice], invoice: Invoice, location: str, findings: Findings
) -> None:
    """``view``: the catalog as of the invoice. Discounts of a number of periods are left aside: other invoices, some
    void by now, decided on them."""
    start_us, end_us = invoice.period_start, invoice.period_end
    _check_overage(view, invoice, location, findings)
    if invoice.state == VOID or start_us == end_us or _is_further(chain, invoice):
        return
    if not may_pin_terms(view, invoice.subscription, invoice.body):
        return
    try:
        line = timeline(view, invoice.subscription)
    except (PlanningError, ValueError):
        return  # told by the close
    span = span_of(line, start_us, end_us) if line is not None else None
    if span is None or not span.parts:
        return  # the subscription's dates are others by now
    expected = period_terms(span.plan, invoice.time_zone, end_us - 1, span.parts, {})
    for name, wants, has in zip(
        ("discounts", "commitment"), _texts(expected), _texts(pinned_terms(invoice)), strict=True
    ):
        if wants != has:
            findings.add("pinned terms", f"{location}, {name}", wants, has, REMEDY)


def _check_overage(view: NamespaceView, invoice: Invoice, location: str, findings: Findings) -> None:
    """What an own unit comes to in money, against the plan version that the invoice names."""
    if not is_own_unit(invoice.currency):
        return
    versions = view.history("plan", invoice.plan)
    if not 0 < invoice.plan_version <= len(versions):
        return
    overage, pinned = versions[invoice.plan_version - 1].model.overage, body_of(invoice).overage
    wants = "none" if overage is None else f"{plain(overage.rate)} {overage.currency}"
    has = "none" if pinned is None else f"{pinned['rate']} {pinned['currency']}"
    if wants != has:
        findings.add("pinned terms", f"{location}, overage", wants, has, REMEDY)


def may_pin_terms(view: NamespaceView, subscription: str, body: str) -> bool:
    """Whether an invoice with this body has terms, or any version of its subscription a discount or a commitment, of
    its own or of its plan."""
    if '"terms"' in body:
        return True
    for entry in view.history("subscription", subscription):
        try:
            plan: Plan = pinned_plan(view, entry).model
        except PlanningError:
            continue
        if plan.discounts or plan.minimum_commitment is not None:
            return True
    return False


def _is_further(chain: Iterable[Invoice], invoice: Invoice) -> bool:
    """Whether it holds adjustments alone, after an invoice of the same period: such a one has no terms of its own."""
    if "reissues" in body_of(invoice):
        return False
    span = invoice.period_start, invoice.period_end
    return any(
        (earlier.period_start, earlier.period_end) == span and earlier.sequence < invoice.sequence for earlier in chain
    )


def _texts(terms: Terms) -> tuple[str, str]:
    lasting = sorted(
        discount.code + _worth(discount.percent, discount.amount)
        for discount in terms.discounts
        if discount.periods is None
    )
    least = terms.minimum_commitment
    return ", ".join(lasting) or "none", "none" if least is None else plain(least)


def _worth(percent: object, amount: object) -> str:
    return f" {percent} %" if percent is not None else f" {amount}"
