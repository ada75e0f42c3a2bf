"""What comes after the prices, in this order: discounts → commitment → credits. Pure and exact.

They work on rounded lines and give lines of their own, each rounded once; so what a customer reads adds up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from rating.pricing.exact import exactly, round_money
from rating.pricing.price_models import PERCENT
from rating.pricing.priced_line import ZERO, Step
from schemas.catalog.terms import Discount
from schemas.prices import plain

ReductionKind = Literal["discount", "commitment", "credit"]


@dataclass(frozen=True, slots=True)
class ReductionLine:
    """A discount, a true-up or a credit as a line of an invoice.

    ``amount`` (rounded) is what it adds to the invoice: below zero for a discount and a credit, above for a
    commitment. ``code`` is the discount's or grant's; "" for a commitment. The step's amount is exact.
    """

    kind: ReductionKind
    code: str
    amount: Decimal
    step: Step


@dataclass(frozen=True, slots=True)
class Balance:
    """A credit grant in whole minor units: what was granted, and what of it is left; ``products``: those whose lines
    alone it pays, empty: whatever is due."""

    code: str
    granted: Decimal
    left: Decimal
    products: tuple[str, ...] = ()


def discount_lines(
    charged: Iterable[tuple[str, Decimal]], discounts: Sequence[Discount], currency: str
) -> list[ReductionLine]:
    """What each discount takes off ``charged``: (product, rounded amount) of every charge.

    Those on a product come first, then those on the whole, each group in its order; each works on what those before it
    left, and takes neither its product nor the whole below zero. One that takes nothing gives no line.
    """
    with exactly():
        by_product: dict[str, Decimal] = {}
        for product, amount in charged:
            by_product[product] = by_product.get(product, ZERO) + amount
        left = sum(by_product.values(), ZERO)
        lines: list[ReductionLine] = []
        for discount in sorted(discounts, key=lambda candidate: candidate.product is None):
            base = left if discount.product is None else min(by_product.get(discount.product, ZERO), left)
            if base <= 0:
                continue
            off, text = _off(discount, base)
            amount = round_money(off, currency)
            if not amount:
                continue
            lines.append(ReductionLine("discount", discount.code, -amount, Step("discount", -off, text, base)))
            left -= amount
            if discount.product is not None:
                by_product[discount.product] -= amount
        return lines


def _off(discount: Discount, base: Decimal) -> tuple[Decimal, str]:
    if discount.percent is not None:
        off = base * discount.percent * PERCENT
        return off, f"{plain(discount.percent)} % off {plain(base)} = {plain(off)}"
    assert discount.amount is not None, "the model has one of the two"
    off = min(discount.amount, base)
    return off, f"{plain(discount.amount)} off {plain(base)}: {plain(off)} taken"


def commitment_lines(charged: Decimal, minimum: Decimal | None, currency: str) -> list[ReductionLine]:
    """The true-up from ``charged`` (all charges after discounts) to the minimum commitment; none where it is met."""
    if minimum is None or charged >= minimum:
        return []
    with exactly():
        missing = minimum - charged
    amount = round_money(missing, currency)
    text = f"minimum commitment {plain(minimum)}: {plain(charged)} is raised to it"
    return [ReductionLine("commitment", "", amount, Step("commitment", missing, text))] if amount else []


def credit_lines(
    due: Decimal, balances: Iterable[Balance], charged: Iterable[tuple[str, Decimal]] = ()
) -> list[ReductionLine]:
    """What the balances, in the order given, pay of ``due`` (rounded). Neither they nor ``due`` fall below zero.

    A balance of products pays at most what ``charged``, (product, amount) of every line, comes to for these, less what
    those before it pay of them: each pays first what the fewest of such balances may pay.
    """
    in_order = list(balances)
    room = _room(charged) if any(balance.products for balance in in_order) else {}
    rivals = Counter(code for balance in in_order for code in balance.products)
    lines: list[ReductionLine] = []
    for balance in in_order:
        products = sorted((code for code in room if code in balance.products), key=rivals.__getitem__)
        with exactly():
            most = min(due, sum((room[code] for code in products), ZERO)) if balance.products else due
        used = min(balance.left, most)
        if used <= 0:
            continue
        # Nothing of what was left is told: a second process may know of later draws, and must write the same bytes.
        text = f"{plain(used)} of {plain(most)} paid from {plain(balance.granted)} granted"
        with exactly():
            due -= used
            open_part = used
            for code in products:
                part = min(open_part, room[code])
                room[code] -= part
                open_part -= part
        lines.append(ReductionLine("credit", balance.code, -used, Step("credit", -used, text)))
    return lines


def _room(charged: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Product → what its lines come to, at least zero, in the order of the lines."""
    sums: dict[str, Decimal] = {}
    with exactly():
        for product, amount in charged:
            sums[product] = sums.get(product, ZERO) + amount
    return {product: max(amount, ZERO) for product, amount in sums.items()}


def total_of(parts: Iterable[ReductionLine]) -> Decimal:
    """The sum of their amounts."""
    with exactly():
        return sum((part.amount for part in parts), ZERO)
