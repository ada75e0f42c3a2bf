"""What the invoice of a running period has beside its charges and their reductions, by the close's own code: fees in advance settled
against what was billed of them, and what prepaid credits pay. Pure.

Late usage of periods that are billed is none of it: that is on the report of late usage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.close.advance import paid_in_advance, settle
from rating.close.charges import ChargeBook, Item
from rating.close.credits import Wallet
from rating.close.reductions import adjusted_terms, paid, prior_terms
from rating.close.spans import Span
from rating.close.standing import Invoice, Line
from rating.close.timeline import Timeline
from schemas.invoices import FINALIZED


@dataclass(frozen=True, slots=True)
class Settled:
    """``fees``: in advance, of this period, that no invoice has billed yet; ``lines``: adjustments of what was billed beyond what is owed."""

    fees: tuple[Item, ...] = ()
    lines: tuple[Line, ...] = ()


def settled(book: ChargeBook, chain: Sequence[Invoice], span: Span, billed_until_us: int | None) -> Settled:
    """``chain``: the subscription's invoices that end where ``span`` begins, and those that adjust them; ``billed_until_us``: where its last
    invoice's period ended. Raises PlanningError."""
    if span.in_advance and billed_until_us != span.start_us:
        return Settled()  # an invoice that is yet to come bills these fees before this period's does
    currency = span.plan.currency
    fees, lines = settle(book.items(span.parts, in_advance=True), paid_in_advance(chain, span.start_us), currency)
    terms = prior_terms(chain, [line["adjusts"] for line in lines])
    return Settled(fees, (*lines, *adjusted_terms(terms, lines, currency)))


def drawn_by(wallet: Wallet, line: Timeline, span: Span, subtotal: Decimal) -> list[Line]:
    """The credit lines of the period's invoice over ``subtotal``; what they draw is taken off the wallet."""
    currency, moment_us = span.plan.currency, max(span.end_us - 1, span.start_us)
    balances = wallet.balances(line.account_id, line.subscription, currency, moment_us)
    lines = paid(subtotal, balances, currency, span.start_us, span.end_us)
    wallet.draw({"state": FINALIZED, "lines": lines})
    return lines
