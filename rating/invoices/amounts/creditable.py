"""What credit notes of an invoice can still credit: of each invoice and period that its lines are of. Pure.

Discounts count, which no single line's balance does, and so does what terms on other invoices leave of a fee. All that
is credited of a period comes to no more than what all invoices bill of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from rating.invoices.amounts.billed_of_period import NOTED, is_ahead
from rating.invoices.amounts.credited_in_all import moved_off, moved_to
from rating.invoices.amounts.line_balances import credited_by_line, with_newest
from rating.invoices.amounts.settlement_effects import added_by_true_ups
from rating.pricing.exact import exact_sum, share
from rating.pricing.priced_line import ZERO
from schemas.ledgers.invoice_record import Invoice, Line


class BilledPart(NamedTuple):
    """What an invoice bills of the period that begins at ``start_us``; ``ahead``: of the one after its own."""

    invoice_id: str
    start_us: int
    ahead: bool


def creditable(
    invoice: Invoice, chain: Sequence[Invoice], numbers: Collection[int], left: Mapping[int, Decimal]
) -> dict[BilledPart, Decimal]:
    """What can be credited of the lines ``numbers`` (none: all), by what they are of: what the chain leaves of it, with
    all that adjusts it and with discounts and true-ups; at most what this invoice bills of it, and what is ``left`` of
    these lines; of a period at most what all invoices bill of it."""
    standing = with_newest(chain, invoice)
    in_chain, here = _billed(standing, standing), _billed([invoice], standing)
    of_lines: dict[BilledPart, list[Decimal]] = {}
    for line in invoice.lines:
        if line.kind != "credit" and (line.number in numbers or not numbers):
            amount = Decimal(line.amount) if line.charge.startswith(NOTED) else left.get(line.number, ZERO)
            of_lines.setdefault(part_of(invoice, line, standing), []).append(amount)
    result: dict[BilledPart, Decimal] = {}
    for part, amounts in of_lines.items():
        balance, own = in_chain[part], here[part]
        if part.ahead:
            terms = moved_off(chain, part.invoice_id, invoice.currency), added_by_true_ups(chain, part.invoice_id)
            balance = exact_sum((balance, *terms))
        else:  # what its discounts take off fees of other invoices is none of its charges'
            off_fees = -moved_to(chain, part.invoice_id, invoice.currency)
            balance = exact_sum((balance, off_fees))
            own = exact_sum((own, off_fees if part.invoice_id == invoice.invoice_id else ZERO))
        result[part] = max(min(balance, own, exact_sum(amounts)), ZERO)
    for start_us in {part.start_us for part in result}:
        of_period = exact_sum(amount for part, amount in in_chain.items() if part.start_us == start_us)
        result |= _at_most({part: result[part] for part in result if part.start_us == start_us}, of_period)
    return result


def part_of(item: Invoice, line: Line, standing: Iterable[Invoice]) -> BilledPart:
    """What a line of ``item`` is of, or the one that it adjusts."""
    of = next((invoice for invoice in standing if invoice.invoice_id == line.adjusts), item)
    ahead = is_ahead(line, of)
    if line.charge == NOTED:  # of an invoice as a whole: of its fees in advance, if it billed some
        ahead = any(is_ahead(of_line, of) for of_line in of.lines)
    return BilledPart(of.invoice_id, of.period_end if ahead else of.period_start, ahead)


def _billed(invoices: Iterable[Invoice], standing: Sequence[Invoice]) -> dict[BilledPart, Decimal]:
    """What the invoices bill, and credit by no credit note."""
    amounts: dict[BilledPart, list[Decimal]] = {}
    for invoice in invoices:
        notes = credited_by_line(invoice)
        for line in invoice.lines:
            if line.kind != "credit":
                parts = amounts.setdefault(part_of(invoice, line, standing), [])
                parts += [Decimal(line.amount), -notes.get(line.number, ZERO)]
    return {part: exact_sum(parts) for part, parts in amounts.items()}


def _at_most(amounts: Mapping[BilledPart, Decimal], limit: Decimal) -> dict[BilledPart, Decimal]:
    total, limit = exact_sum(amounts.values()), max(limit, ZERO)
    if total <= limit:
        return dict(amounts)
    return {part: share(limit, amount, total) for part, amount in amounts.items()}
