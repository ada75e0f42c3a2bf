"""What the invoice of a running period will have, by the close's own code: its charges, fees in advance settled against what was billed of
them, discounts and true-up of the period, and what prepaid credits pay. Pure.

Late usage of periods that are billed is none of it: that is on the report of late usage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from rating.close.charges import ChargeBook
from rating.close.credits import Wallet
from rating.close.due import running_due
from rating.close.lines import by_terms
from rating.close.plan import Billing, billing_of
from rating.close.reductions import paid
from rating.close.spans import Span, spans
from rating.close.standing import Invoice, Line
from rating.close.timeline import Timeline
from rating.pricing.exact import exact_sum
from schemas.invoices import FINALIZED, VOID


def expected_billing(
    book: ChargeBook, line: Timeline, span: Span, after: Span | None, chain: Iterable[Invoice]
) -> Billing:
    """``after``: the period that follows ``span``; ``chain``: the subscription's invoices. Also where the period is billed already: what it comes
    to is told from those before it alone. Periods that ended and are not billed yet (within grace, or waiting for a close) count as the close
    will bill them first: they use up a discount's periods, and bill this one's fees in advance. Raises PlanningError."""
    before = [one for one in chain if one["period_end"] <= span.start_us]
    billed_us = max((one["period_end"] for one in before if one["state"] != VOID), default=None)
    coming = [*_unbilled(line, billed_us, span.start_us), span]
    made: list[Billing] = []
    if billed_us != coming[0].start_us and coming[0].in_advance:
        # Its fees in advance are on an invoice that the next close makes first.
        first = running_due(line, coming[0], None)
        opening = replace(first, end_us=first.start_us, parts=(), advance=coming[0].parts, advanced=True)
        made.append(billing_of(opening, book, before))
    for here, following in zip(coming, [*coming[1:], after], strict=True):
        due = replace(running_due(line, here, following), advanced=bool(made) and here.in_advance)
        made.append(billing_of(due, book, before, (), tuple(made)))
    return made[-1]


def _unbilled(line: Timeline, billed_us: int | None, until_us: int) -> Iterator[Span]:
    """The periods between the last invoice's and ``until_us``."""
    for one in spans(line, billed_us):
        if one.end_us > until_us:
            return
        yield one


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
