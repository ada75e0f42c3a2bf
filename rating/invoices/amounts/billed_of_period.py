"""What invoices that stand have billed of one period of a subscription, whichever of them carries it. Pure.

A line is of the period that it is for: a fee in advance, and the discount on it, of the one that begins where their
invoice's period ends. On invoices of before this was so, discounts were worked out over all the charges of an invoice;
what such a lump took off fees in advance is what it comes to beyond the discounts of the invoice's own period.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from rating.pricing.exact import exactly
from rating.pricing.priced_line import ZERO
from rating.pricing.reduction_lines import ReductionLine, commitment_lines, discount_lines, total_of
from rating.subscriptions.period_terms import Terms, pinned_terms
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
    body_of,
)

CHARGED: Final = frozenset({"usage", "flat"})
"""Kinds of lines that discounts and the commitment of their own period work on."""
REDUCING: Final = frozenset({"discount", "commitment"})
COMMITMENT: Final = "commitment:"
NOTED: Final = "credit_note:"
"""What the charge of a line begins with that says what credit notes had credited already; the line's own charge
follows."""

OF_PERIOD: Final = "period"
"""``Body.terms_of`` of an invoice whose terms are those of periods; one without it may be a lump."""


@dataclass(frozen=True, slots=True)
class Billed:
    """Of one period: ``charged`` by product, ``reduced`` by the key of a discount or of the true-up, all adjustments
    included.
    ``carrier``: the invoice that billed its fees in advance, "" for none."""

    charged: tuple[tuple[str, Decimal], ...] = ()
    reduced: tuple[tuple[str, Decimal], ...] = ()
    carrier: str = ""

    @property
    def discounted(self) -> Billed:
        """Without its true-up, which is of its own invoice alone."""
        return replace(self, reduced=tuple((key, amount) for key, amount in self.reduced if key != COMMITMENT))

    def also(self, charged: Iterable[tuple[str, Decimal]]) -> list[tuple[str, Decimal]]:
        """(product, amount) of these charges and of further ones."""
        return [*self.charged, *charged]


NOTHING: Final = Billed()


def key_of(reduction: ReductionLine) -> str:
    """What an invoice line calls it in ``charge``; a charge's own code has no colon."""
    return f"{reduction.kind}:{reduction.code}"


def reductions(charged: Iterable[tuple[str, Decimal]], terms: Terms, currency: str) -> list[ReductionLine]:
    """Discounts, then the commitment, on (product, rounded amount) of every charge of a period."""
    amounts = list(charged)
    reduction_lines = discount_lines(amounts, terms.discounts, currency)
    with exactly():
        left = sum((amount for _, amount in amounts), ZERO) + total_of(reduction_lines)
    return reduction_lines + commitment_lines(left, terms.minimum_commitment, currency)


def is_ahead(line: Line, invoice: Invoice) -> bool:
    """Whether a line of ``invoice``, or one that adjusts it, is of the period that follows the invoice's own."""
    return bool(line.period_start >= invoice.period_end and line.period_end > line.period_start)


def is_lump(invoice: Invoice) -> bool:
    """Whether its discounts are of its own period and of its fees in advance together, as they once were."""
    body = body_of(invoice)
    if "terms" not in body or body.terms_of == OF_PERIOD:
        return False
    return any(line.kind == "flat" and is_ahead(line, invoice) for line in invoice.lines)


def billed_of(chain: Sequence[Invoice], start_us: int) -> Billed:
    """Of the period that begins at ``start_us``, by those of ``chain`` that are not void."""
    standing = [invoice for invoice in chain if invoice.state != VOID]
    by_id = {invoice.invoice_id: invoice for invoice in standing}
    charged: dict[str, Decimal] = {}
    reduced: dict[str, Decimal] = {}
    carrier = ""
    with exactly():
        for invoice in standing:
            for line in invoice.lines:
                if line.kind == "credit" or line.charge.startswith(NOTED):
                    continue
                of = by_id.get(line.adjusts, invoice)
                ahead = is_ahead(line, of)
                if start_us != (of.period_end if ahead else of.period_start):
                    continue
                if not ahead and of.period_start == of.period_end:
                    continue  # a lump of before at a start: all of it was taken in advance
                if ahead and of is invoice:
                    carrier = invoice.invoice_id
                add(reduced if ":" in line.charge else charged, line)
            if invoice.period_end == start_us and is_lump(invoice):
                for key, amount in taken_ahead(invoice, standing).items():
                    reduced[key] = reduced.get(key, ZERO) + amount
        for key in [key for key, amount in reduced.items() if not amount]:
            del reduced[key]
    return Billed(tuple(charged.items()), tuple(reduced.items()), carrier)


def add(sums: dict[str, Decimal], line: Line) -> None:
    """The line's amount to what has come to its product, or for a discount or a true-up to its key."""
    name = line.charge if ":" in line.charge else line.product
    with exactly():
        sums[name] = sums.get(name, ZERO) + Decimal(line.amount)


def taken_ahead(lump: Invoice, standing: Iterable[Invoice]) -> dict[str, Decimal]:
    """What a lump's discounts came to beyond those of its own period: taken off its fees in advance."""
    amounts: dict[str, Decimal] = {}
    billed: dict[str, Decimal] = {}
    for invoice in standing:
        for line in invoice.lines:
            if line.adjusts != lump.invoice_id and (invoice is not lump or line.kind not in CHARGED | REDUCING):
                continue
            if is_ahead(line, lump) or line.charge == COMMITMENT or line.charge.startswith(NOTED):
                continue
            if line.kind == "credit":
                continue
            add(billed if ":" in line.charge else amounts, line)
    terms = Terms(pinned_terms(lump).discounts)
    for reduction in reductions(amounts.items(), terms, lump.currency):
        with exactly():
            billed[key_of(reduction)] = billed.get(key_of(reduction), ZERO) - reduction.amount
    return billed
