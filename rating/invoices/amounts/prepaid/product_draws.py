"""What grants of some products alone have paid, held against what the lines of these products come to. Pure.

Such a draw keeps what it would pay had its invoice billed its present lines from the beginning; where lines of its
products fall, the rest comes back to it, whatever else the invoice bills.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Final

from rating.pricing.exact import exact_sum, exactly
from rating.pricing.priced_line import ZERO
from rating.pricing.reduction_lines import Balance, credit_lines
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.values.currency import exponent

OFF_ALL: Final = "discount:"

AmountsByProduct = Mapping[str, Decimal]
"""Product → what its lines come to; ``OFF_ALL``: discounts on the whole; "": true-ups and what else has no product."""

Restrictions = Mapping[str, tuple[str, ...]]
"""Charge of a credit line → the products that its grant pays, if not all."""


def restrictions_of(invoices: Iterable[Invoice]) -> dict[str, tuple[str, ...]]:
    """Those that draws pin; of a grant that pinned several, all of these products, and none if it paid any once."""
    pinned: dict[str, set[str] | None] = {}
    for invoice in invoices:
        for line in invoice.lines:
            if line.kind != "credit" or line.adjusts:
                continue
            products = set(json.loads(line.price)["products"]) if '"products"' in line.price else None
            before = pinned.get(line.charge, products)
            pinned[line.charge] = None if before is None or products is None else before | products
    return {charge: tuple(sorted(products)) for charge, products in pinned.items() if products}


def product_key(line: Line) -> str:
    """The key of a line's amount in ``AmountsByProduct``."""
    return line.product or (OFF_ALL if line.charge.startswith(OFF_ALL) else "")


def amounts_of(lines: Iterable[Line]) -> dict[str, Decimal]:
    """What the lines come to, without credits."""
    sums: dict[str, Decimal] = {}
    with exactly():
        for line in lines:
            if line.kind != "credit":
                key = product_key(line)
                sums[key] = sums.get(key, ZERO) + Decimal(line.amount)
    return sums


def by_product(amounts: AmountsByProduct, currency: str) -> list[tuple[str, Decimal]]:
    """(product, what its lines come to), discounts on the whole shared over them in proportion, rounded down."""
    sums = {product: amount for product, amount in amounts.items() if product not in ("", OFF_ALL)}
    whole = amounts.get(OFF_ALL, ZERO)
    billed = exact_sum(max(amount, ZERO) for amount in sums.values())
    if whole >= 0 or not billed:
        return list(sums.items())
    left = Fraction(max(exact_sum((billed, whole)), ZERO)) / Fraction(billed)
    digits = exponent(currency)
    return [
        (product, Decimal(floor(Fraction(max(amount, ZERO)) * left * 10**digits)).scaleb(-digits))
        for product, amount in sums.items()
    ]


def kept(
    drawn: Iterable[tuple[str, Decimal]],
    restrictions: Restrictions,
    left: Decimal,
    amounts: AmountsByProduct,
    currency: str,
) -> dict[str, Decimal]:
    """What each of the draws, (charge, amount) in their order, would pay of charges of ``amounts``, ``left`` in all."""
    balances = [Balance(charge, part, part, restrictions.get(charge, ())) for charge, part in drawn if part > 0]
    lines = credit_lines(max(left, ZERO), balances, by_product(amounts, currency))
    return {line.code: -line.amount for line in lines}


def discounts_beyond(own_amounts: AmountsByProduct, beyond: Decimal) -> Iterator[tuple[str, Decimal]]:
    """(key, amount) of ``beyond`` (0 or less), what an invoice's discounts take off other charges than its own: first
    of the products that discounts make less than nothing of."""
    for product, amount in own_amounts.items():
        part = max(amount, beyond) if product not in ("", OFF_ALL) else ZERO
        if part < 0:
            beyond = exact_sum((beyond, -part))
            yield product, part
    if beyond:
        yield OFF_ALL, beyond


class RestrictedDraws:
    """What grants paid of one invoice's charges: ``drawn`` in their order, and what these charges come to."""

    def __init__(
        self, drawn: Sequence[tuple[str, Decimal]], amounts: AmountsByProduct, restrictions: Restrictions, currency: str
    ) -> None:
        self._drawn, self._amounts, self._restrictions, self._currency = drawn, amounts, restrictions, currency

    def released(self, changes: Iterable[tuple[str, Decimal]], room: dict[str, Decimal]) -> Iterator[
        tuple[str, Decimal]
    ]:  # fmt: skip
        """(charge, amount) that comes back of them where the charges change by (key, amount), the last drawn first: at
        most ``room`` of each product, which is used up."""
        after = dict(self._amounts)
        for key, amount in changes:
            after[key] = exact_sum((after.get(key, ZERO), amount))
        before, now = self._kept(self._amounts), self._kept(after)
        rivals = Counter(product for charge, _ in self._drawn for product in self._restrictions.get(charge, ()))
        for charge, _ in reversed(self._drawn):
            back = exact_sum((before.get(charge, ZERO), -now.get(charge, ZERO)))
            total = ZERO
            for product in sorted(self._restrictions.get(charge, ()), key=rivals.__getitem__):
                part = min(back, room.get(product, ZERO))
                if part > 0:
                    room[product] = exact_sum((room[product], -part))
                    back, total = exact_sum((back, -part)), exact_sum((total, part))
            if total:
                yield charge, total

    def _kept(self, amounts: AmountsByProduct) -> dict[str, Decimal]:
        return kept(self._drawn, self._restrictions, exact_sum(amounts.values()), amounts, self._currency)


def fallen(lines: Iterable[Line]) -> dict[str, Decimal]:
    """Product → by how much the lines of an invoice come to less than nothing, where they do."""
    return {
        product: -amount
        for product, amount in amounts_of(lines).items()
        if amount < 0 and product not in ("", OFF_ALL)
    }  # fmt: skip
