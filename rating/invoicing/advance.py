"""Settles what was billed of a period before it ended: fees in advance against the actual fees (credits, and what is
still owed), and interim invoices against the invoice that bills the whole period. Pure.

A line in advance is a flat line whose period begins at or after the end of its own invoice's period. It is settled
once: on the invoice of the period it is for, or, if the subscription ended before, on a separate one. Beside an interim
invoice the next of its period, and the period's own, have the lines of the whole period, as if none had been billed,
and a line for each of its lines that takes it off, over what that comes to with all that adjusts it: it is a whole
again, whichever plan, prices or events the period has by then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.invoices.amounts.line_plans import plan_in
from rating.invoices.amounts.unpriced_values import same_line
from rating.invoices.chain import interims_of
from rating.invoicing.charges import ResolvedCharge, proration
from rating.invoicing.late.pinned_prices import price_of
from rating.invoicing.rated_items import price_text, steps_text
from rating.pricing import PriceError, Rated, money_text, plain, rate
from rating.pricing.exact import exact_sum
from rating.pricing.priced_line import Step
from rating.subscriptions.timeline import PlanningError
from schemas.catalog.models import Charge, Product
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
)
from schemas.prices import Price, price_in
from schemas.values.instants import rfc3339
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class BilledInAdvance:
    """A line billed in advance; ``amount``: with all its adjustments so far."""

    invoice_id: str
    line: Line
    price: Price
    amount: Decimal


def paid_in_advance(chain: Sequence[Invoice], until_us: int) -> tuple[BilledInAdvance, ...]:
    """Lines in advance for the period beginning at ``until_us``, on invoices that end there, unless they are
    completely credited. Raises PlanningError."""
    standing = [invoice for invoice in chain if invoice.state != VOID]
    paid: list[BilledInAdvance] = []
    for invoice in standing:
        if invoice.period_end != until_us:
            continue
        for line in invoice.lines:
            if line.kind != "flat" or line.period_start < invoice.period_end:
                continue
            amount = exact_sum([Decimal(line.amount), *_adjusted(standing, invoice.invoice_id, line)])
            if amount:
                price = price_of(invoice, line)
                paid.append(
                    BilledInAdvance(invoice.invoice_id, replace(line, of_plan=plan_in(invoice, line)), price, amount)
                )
    return tuple(paid)


def advance_again(void: Invoice) -> tuple[ResolvedCharge, ...]:
    """The fees in advance of a void invoice, to be billed again unchanged: the period they are for is billed
    already and was settled against them. Raises PlanningError."""
    items: list[ResolvedCharge] = []
    for line in void.lines:
        if line.kind == "flat" and line.period_start >= void.period_end:
            price = price_of(void, line)
            charge = Charge(code=line.charge, product=line.product, price={}, in_advance=True)
            product = Product(code=line.product, name=line.description, unit=line.unit, kind="flat")
            span = line.period_start, line.period_end
            items.append(ResolvedCharge(charge, product, price, None, (), *span, plan=plan_in(void, line)))
    return tuple(items)


def _adjusted(chain: Iterable[Invoice], invoice_id: str, line: Line) -> list[Decimal]:
    return [
        Decimal(adjusting.amount)
        for invoice in chain
        for adjusting in invoice.lines
        if adjusting.adjusts == invoice_id and same_line(adjusting, line)
    ]


def settle(
    owed: Iterable[ResolvedCharge], paid: Iterable[BilledInAdvance], currency: str
) -> tuple[tuple[ResolvedCharge, ...], tuple[Line, ...]]:
    """(fees still to bill, adjustments of what was billed), where ``owed`` are the actual fees of a period. Raises
    PlanningError."""
    left = list(owed)
    lines: list[Line] = []
    every = tuple(paid)
    for paid_fee in every:
        match = next((item for item in left if _same_fee(item, paid_fee)), None)
        if match is not None:
            left.remove(match)
            price = match.price
            if remainder := _rest_of_fee(match, paid_fee, left, every):
                left = [item for item in left if item not in remainder]
                price = paid_fee.price
        else:
            length = paid_fee.line.period_end - paid_fee.line.period_start
            price = paid_fee.price.model_copy(update={"proration": proration(0, length)})
        try:
            priced = rate(price, Decimal(1), currency=currency)
        except PriceError as error:
            raise PlanningError(f"adjustment of {paid_fee.invoice_id}, line {paid_fee.line.number}: {error}") from None
        if difference := exact_sum((priced.amount, -paid_fee.amount)):
            lines.append(_adjustment(paid_fee, price, priced, difference))
    return tuple(left), tuple(lines)


def _rest_of_fee(
    owed_item: ResolvedCharge, paid: BilledInAdvance, owed: Iterable[ResolvedCharge], every: Iterable[BilledInAdvance]
) -> list[ResolvedCharge]:
    """The parts after ``owed_item`` into which another change has split a fee that is the same to its end. It was
    billed as a whole and stays so, since crediting and billing it again would lose a credit note for it. Empty if
    another line was billed for a part of it."""
    start_us, end_us = paid.line.period_start, paid.line.period_end
    for candidate in every:
        if candidate.line.charge == paid.line.charge and start_us < candidate.line.period_start < end_us:
            return []
    items, until_us = list[ResolvedCharge](), owed_item.end_us
    for item in sorted(owed, key=lambda item: item.start_us):
        same = (item.charge.key, item.product.code) == (owed_item.charge.key, owed_item.product.code)
        if same and item.start_us == until_us and _plain(item.price) == _plain(owed_item.price):
            items.append(item)
            until_us = item.end_us
    return items if until_us == end_us else []


def _plain(price: Price) -> Price:
    return price.model_copy(update={"proration": None})


def _same_fee(item: ResolvedCharge, paid: BilledInAdvance) -> bool:
    plain_price = {"proration": None}
    return (item.charge.key, item.product.code, item.start_us) == (
        paid.line.charge,
        paid.line.product,
        paid.line.period_start,
    ) and item.price.model_copy(update=plain_price) == paid.price.model_copy(update=plain_price)


def _adjustment(paid: BilledInAdvance, price: Price, priced: Rated, difference: Decimal) -> Line:
    span = f"{rfc3339(paid.line.period_start)} to {rfc3339(paid.line.period_end)}"
    was = f"{plain(priced.amount)} instead of {plain(paid.amount)}, billed in advance"
    return replace(
        paid.line,
        kind="adjustment", description=f"{paid.line.description}, adjusted for what was used of the period",
        price=price_text(price), amount=money_text(difference, priced.currency), unrounded=plain(difference),
        steps=steps_text(priced), note="; ".join([f"{span}: {was}", *priced.notes]), adjusts=paid.invoice_id,
    )  # fmt: skip


def settled_interims(chain: Sequence[Invoice], start_us: int) -> tuple[Line, ...]:
    """The lines that take back what interim invoices of the period that begins at ``start_us`` billed of its usage."""
    standing = [invoice for invoice in chain if invoice.state != VOID]
    return tuple(line for invoice in interims_of(chain, start_us) for line in _settled(invoice, standing))


def _settled(interim: Invoice, standing: Iterable[Invoice]) -> Iterator[Line]:
    adjustments = [line for invoice in standing for line in invoice.lines if line.adjusts == interim.invoice_id]
    for line in interim.lines:
        if line.kind != "usage":
            continue
        adjusting = (Decimal(other.amount) for other in adjustments if same_line(other, line))
        amount = exact_sum([Decimal(line.amount), *adjusting])
        if amount:
            yield _taken_off(interim, line, -amount)


def _taken_off(interim: Invoice, line: Line, amount: Decimal) -> Line:
    """Of no usage: it is of the amount alone, whatever was measured since."""
    text = f"{plain(-amount)} billed before, on interim invoice {interim.invoice_id}"
    price = price_in({"model": "flat", "amount": "0"}, interim.currency)
    return Line(
        kind="adjustment", charge=line.charge, product=line.product,
        description=f"{line.description}, billed before", period_start=line.period_start, period_end=line.period_end,
        price=price_text(price), amount=money_text(amount, interim.currency), unrounded=plain(amount),
        steps=json.dumps([Step("in_advance", amount, text).as_json()], ensure_ascii=False), note=text,
        adjusts=interim.invoice_id, of_plan=plan_in(interim, line),
    )  # fmt: skip
