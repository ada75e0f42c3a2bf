"""What valid invoices have billed for one period of a subscription, whichever invoice carries it. Pure.

A line belongs to the period that it is for: a fee in advance, and the discount on it, to the period that begins
where the invoice's period ends. Older releases computed discounts over all charges of an invoice (a lump); the part
for fees in advance is then what exceeds the discounts of the invoice's own period.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from rating.invoices.chain import is_interim
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
from schemas.values.record_copy import replace

CHARGED: Final = frozenset({"usage", "flat"})
"""Kinds of lines to which discounts and the commitment of their period apply."""
REDUCING: Final = frozenset({"discount", "commitment"})
COMMITMENT: Final = "commitment:"
NOTED: Final = "credit_note:"
"""Prefix of ``charge`` on a line that takes back what credit notes had credited already; followed by the line's own
charge."""

OF_PERIOD: Final = "period"
"""``Body.terms_of`` of an invoice whose discounts are computed per period; one without it may be a lump."""


class Billed(Struct, frozen=True):
    """Amounts of one period, including all adjustments: ``charged`` by product, ``reduced`` by key of a discount or
    of the true-up. ``carrier``: the invoice that billed its fees in advance, else its use before it ended; "" for
    none."""

    charged: tuple[tuple[str, Decimal], ...] = ()
    reduced: tuple[tuple[str, Decimal], ...] = ()
    carrier: str = ""

    @property
    def discounted(self) -> Billed:
        """Without the true-up, which concerns its own invoice only."""
        return replace(self, reduced=tuple((key, amount) for key, amount in self.reduced if key != COMMITMENT))

    def also(self, charged: Iterable[tuple[str, Decimal]]) -> list[tuple[str, Decimal]]:
        """The charges as (product, amount), with further ones appended."""
        return [*self.charged, *charged]


NOTHING: Final = Billed()


def key_of(reduction: ReductionLine) -> str:
    """The ``charge`` of a reduction's invoice line; a charge's own code contains no colon."""
    return f"{reduction.kind}:{reduction.code}"


def reductions(charged: Iterable[tuple[str, Decimal]], terms: Terms, currency: str) -> list[ReductionLine]:
    """The discounts and then the commitment, given (product, rounded amount) of every charge of a period."""
    amounts = list(charged)
    reduction_lines = discount_lines(amounts, terms.discounts, currency)
    with exactly():
        left = sum((amount for _, amount in amounts), ZERO) + total_of(reduction_lines)
    return reduction_lines + commitment_lines(left, terms.minimum_commitment, currency)


def is_ahead(line: Line, invoice: Invoice) -> bool:
    """Whether a line of ``invoice``, or one that adjusts it, belongs to the period that follows the invoice's own."""
    return bool(line.period_start >= invoice.period_end and line.period_end > line.period_start)


def is_lump(invoice: Invoice) -> bool:
    """Whether the invoice's discounts were computed over its own period and its fees in advance together, as older
    releases did."""
    body = body_of(invoice)
    if "terms" not in body or body.terms_of == OF_PERIOD:
        return False
    return any(line.kind == "flat" and is_ahead(line, invoice) for line in invoice.lines)


def billed_of(chain: Sequence[Invoice], start_us: int) -> Billed:
    """The amounts of the period that begins at ``start_us``, from the invoices in ``chain`` that are not void."""
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
                    continue  # an older release's lump at a start: all of it concerns fees in advance
                if ahead and of is invoice and not (is_interim(invoice) and carrier):
                    carrier = invoice.invoice_id
                add(reduced if ":" in line.charge else charged, line)
            if invoice.period_end == start_us and is_lump(invoice):
                for key, amount in taken_ahead(invoice, standing).items():
                    reduced[key] = reduced.get(key, ZERO) + amount
        for key in [key for key, amount in reduced.items() if not amount]:
            del reduced[key]
    return Billed(tuple(charged.items()), tuple(reduced.items()), carrier)


def add(sums: dict[str, Decimal], line: Line) -> None:
    """Add the line's amount to the sum of its product, or of its key for a discount or true-up."""
    name = line.charge if ":" in line.charge else line.product
    with exactly():
        sums[name] = sums.get(name, ZERO) + Decimal(line.amount)


def taken_ahead(lump: Invoice, standing: Iterable[Invoice]) -> dict[str, Decimal]:
    """The part of a lump's discounts that exceeds those of its own period, which is the part for its fees in
    advance."""
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
