"""How a credit note without lines is spread over an invoice's lines: in proportion to what their discounts left of
them. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from rating.pricing import money_text
from rating.pricing.exact import exact_sum, exactly, round_money, share
from rating.pricing.priced_line import ZERO
from schemas.ledgers.invoice_details import CreditedLineRecord
from schemas.ledgers.invoice_record import Invoice, Line

Group = TypeVar("Group", bound=Hashable)

Weights = Sequence[tuple[int, Decimal]]
"""(line number, amount in the invoice's currency)."""


def spread(amount: Decimal, weights: Weights, currency: str) -> list[CreditedLineRecord]:
    """The distribution of a credit note's amount over lines, as pinned in its body."""
    return [
        {"line": number, "amount": money_text(part, currency)}
        for number, part in spread_parts(amount, weights, currency)
        if part
    ]


def spread_parts(amount: Decimal, weights: Weights, currency: str) -> Iterator[tuple[int, Decimal]]:
    """Distribute ``amount`` in proportion to the weights, each part rounded, such that they add up to it; no part
    exceeds its weight unless ``amount`` exceeds their sum."""
    total_weight = exact_sum(weight for _, weight in weights)
    if not total_weight:
        return
    weight_so_far = amount_so_far = ZERO
    for number, weight in weights:
        weight_so_far = exact_sum((weight_so_far, weight))
        until = round_money(share(amount, weight_so_far, total_weight), currency)
        yield number, exact_sum((until, -amount_so_far))
        amount_so_far = until


def discounted(invoice: Invoice, left: Weights, unnoted: Weights) -> list[tuple[int, Decimal]]:
    """What the invoice's discounts leave of its lines to credit: of ``unnoted``, what its own credit notes have not
    credited, and at most ``left``, what adjustments leave, too."""
    lines = {line.number: line for line in invoice.lines}
    taken_off = dict.fromkeys((number for number, _ in left), ZERO)
    with exactly():
        for discount in invoice.lines:
            off = -Decimal(discount.amount)
            base = {
                number: Decimal(lines[number].amount) - taken
                for number, taken in taken_off.items()
                if _is_off(discount, lines[number])
            }
            total = sum(base.values(), ZERO)
            if off > 0 and total > 0:
                for number, weight in base.items():
                    taken_off[number] += share(min(off, total), weight, total)
        rest = dict(unnoted)
        return [(number, max(min(part, rest[number] - taken_off[number]), ZERO)) for number, part in left]


def at_most(
    weights: Weights, limits: Mapping[Group, Decimal], group_of: Mapping[int, Group]
) -> list[tuple[int, Decimal]]:
    """The weights, those of each group of lines lowered in proportion to at most its limit (none: 0)."""
    totals: dict[Group, Decimal] = {}
    for number, weight in weights:
        totals[group_of[number]] = exact_sum((totals.get(group_of[number], ZERO), weight))

    def lowered(number: int, weight: Decimal) -> Decimal:
        limit, total = limits.get(group_of[number], ZERO), totals[group_of[number]]
        return weight if total <= limit else share(limit, weight, total)

    return [(number, lowered(number, weight)) for number, weight in weights]


def _is_off(discount: Line, line: Line) -> bool:
    return (
        discount.charge.startswith("discount:")
        and ":" not in line.charge
        and discount.product in ("", line.product)
        and discount.adjusts == line.adjusts
        and discount.period_start <= line.period_start < discount.period_end
    )
