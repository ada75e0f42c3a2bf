"""What the true-up of a later invoice's own period comes to more because that invoice settles fees that an earlier one
had billed in advance. Pure.

Such an effect stands on no line of its own: it is within the later invoice's true-up. What of the earlier invoice can
still be credited counts it; what discounts do is ``credited_in_all.moved_off``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rating.invoices.amounts.billed_of_period import CHARGED, billed_of
from rating.invoices.amounts.reductions import reduced
from rating.pricing.exact import exact_sum
from rating.subscriptions.period_terms import Terms, pinned_terms
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, body_of


def added_by_true_ups(chain: Sequence[Invoice], name: str) -> Decimal:
    """What true-ups of later invoices of ``chain`` that stand add because these credit fees of the invoice ``name``; 0
    or more, in the chain's currency."""
    standing = [invoice for invoice in chain if invoice.state != VOID]
    effects = (
        max(_effect(standing[:position], later, name), Decimal(0))
        for position, later in enumerate(standing)
        if '"minimum_commitment' in later.body and any(line.adjusts == name for line in later.lines)
    )
    return exact_sum(effects)


def _effect(before: Sequence[Invoice], later: Invoice, name: str) -> Decimal:
    """Settlements of several invoices one after another, in the order of their lines, as the close counts them."""
    terms = pinned_terms(later)
    if terms.minimum_commitment is None or "change" in body_of(later):
        return Decimal(0)
    billed = billed_of(before, later.period_start)
    period_lines = [line for line in later.lines if later.period_start <= line.period_start < later.period_end]
    charged = [line for line in period_lines if line.kind in CHARGED]
    settled = [line for line in period_lines if line.kind == "adjustment" and line.adjusts and ":" not in line.charge]
    names = list(dict.fromkeys(line.adjusts for line in settled))
    if name not in names:
        return Decimal(0)

    def true_up(count: int) -> Decimal:
        """What the terms come to with the first settlements beyond what the discounts alone do."""
        lines = [*charged, *(line for line in settled if line.adjusts in names[:count])]
        amounts = [(line.product, Decimal(line.amount)) for line in lines]
        both, discounts = (
            reduced(amounts, of, later.currency, later.period_start, later.period_end, billed)
            for of in (terms, Terms(terms.discounts))
        )
        return exact_sum((*(Decimal(line.amount) for line in both), *(-Decimal(line.amount) for line in discounts)))

    return exact_sum((true_up(names.index(name) + 1), -true_up(names.index(name))))
