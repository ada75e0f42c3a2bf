"""What discounts and true-ups of a later invoice's own period come to more because that invoice settles fees that an
earlier one had billed in advance. Pure.

Such an effect stands on no line of its own: it is within the later invoice's discounts. What of the earlier invoice can
still be credited counts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from rating.invoices.amounts.billed_of_period import CHARGED, NOTED, billed_of
from rating.invoices.amounts.reductions import reduced
from rating.pricing.exact import exact_sum
from rating.subscriptions.period_terms import NO_TERMS, Terms, pinned_terms, pinned_terms_ahead
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, Line, body_of


def given_by_terms(chain: Sequence[Invoice], name: str) -> Decimal:
    """What terms of later invoices of ``chain`` that stand give less because these credit fees of the invoice ``name``,
    beyond what their lines say that adjust it; 0 or more, in the chain's currency."""
    standing = [invoice for invoice in chain if invoice.state != VOID]
    effects = (
        max(_effect(standing[:position], later, name), Decimal(0))
        for position, later in enumerate(standing)
        if '"terms' in later.body and any(line.adjusts == name for line in later.lines)
    )
    return exact_sum(effects)


def _effect(before: Sequence[Invoice], later: Invoice, name: str) -> Decimal:
    """Settlements of several invoices one after another, in the order of their lines, as the close counts them."""
    change = "change" in body_of(later)
    terms = Terms(pinned_terms_ahead(later).discounts) if change else pinned_terms(later)
    if terms == NO_TERMS:
        return Decimal(0)
    billed = billed_of(before, later.period_start)
    billed = billed.discounted if change else billed
    own = [line for line in later.lines if later.period_start <= line.period_start and (change or _is_own(line, later))]
    charged = [line for line in own if line.kind in CHARGED]
    settled = [line for line in own if line.kind == "adjustment" and line.adjusts and ":" not in line.charge]

    def sum_with(lines: Iterable[Line]) -> Decimal:
        amounts = [(line.product, Decimal(line.amount)) for line in lines]
        by_terms = reduced(amounts, terms, later.currency, later.period_start, later.period_end, billed)
        return exact_sum(Decimal(line.amount) for line in by_terms)

    names = list(dict.fromkeys(line.adjusts for line in settled))
    if name not in names:
        return Decimal(0)
    earlier = [line for line in settled if names.index(line.adjusts) < names.index(name)]
    with_name = [line for line in settled if names.index(line.adjusts) <= names.index(name)]
    told = (
        Decimal(line.amount)
        for line in own
        if line.adjusts == name and ":" in line.charge and not line.charge.startswith(NOTED)
    )
    return exact_sum((sum_with([*charged, *with_name]), -sum_with([*charged, *earlier]), *(-part for part in told)))


def _is_own(line: Line, invoice: Invoice) -> bool:
    return line.period_start < invoice.period_end
