"""What the invoice of a running period will have, by the close's own code: its charges, fees in advance settled against what was billed of
them, discounts and true-up of the period, and what prepaid credits pay. Pure.

Late usage of periods that are billed is none of it: that is on the report of late usage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from rating.close.charges import ChargeBook
from rating.close.credits import Wallet
from rating.close.due import running_due
from rating.close.lines import by_terms
from rating.close.plan import Billing, billing_of
from rating.close.reductions import paid
from rating.close.spans import Span
from rating.close.standing import Invoice, Line
from rating.close.timeline import Timeline
from rating.pricing.exact import exact_sum
from schemas.invoices import FINALIZED, VOID


def expected_billing(
    book: ChargeBook, line: Timeline, span: Span, after: Span | None, chain: Iterable[Invoice]
) -> Billing:
    """``after``: the period that follows ``span``; ``chain``: the subscription's invoices. Also where the period is billed already: what it comes
    to is told from those before it alone. Raises PlanningError."""
    due = running_due(line, span, after)
    before = [one for one in chain if one["period_end"] <= span.start_us]
    billed = any(one["period_end"] == span.start_us and one["state"] != VOID for one in before)
    if billed or not span.in_advance:
        return billing_of(due, book, before)
    # Its fees in advance are on an invoice that the next close makes first.
    opening = replace(due, end_us=span.start_us, parts=(), advance=span.parts, advanced=True)
    return billing_of(replace(due, advanced=True), book, before, (), [billing_of(opening, book, before)])


def expected_lines(billing: Billing, charges: Sequence[Line]) -> tuple[list[Line], Decimal]:
    """(what settles fees in advance, discounts and true-up beside these ``charges``, the subtotal: before prepaid credits)."""
    lines = [*billing.credits, *by_terms(charges, billing.due, billing.agreed, billing.credits)]
    return lines, exact_sum(Decimal(line["amount"]) for line in [*charges, *lines])


def drawn_by(wallet: Wallet, line: Timeline, span: Span, subtotal: Decimal) -> list[Line]:
    """The credit lines of the period's invoice over ``subtotal``; what they draw is taken off the wallet."""
    currency, moment_us = span.plan.currency, max(span.end_us - 1, span.start_us)
    balances = wallet.balances(line.account_id, line.subscription, currency, moment_us)
    lines = paid(subtotal, balances, currency, span.start_us, span.end_us)
    wallet.draw({"state": FINALIZED, "lines": lines})
    return lines
