"""Amounts of discounts and true-ups from their definition, in fractions. It shares no code with the close."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Final

from rating.verify.invoice_body import PeriodTerms
from schemas.prices import plain
from schemas.values.currency import exponent

COMMITMENT: Final = "commitment:"
"""The charge code of a true-up."""

Amounts = dict[str, Fraction]
"""Major units by product, or by the charge code of a discount or true-up."""


def reductions(charged: Amounts, terms: PeriodTerms, currency: str) -> Amounts:
    """Discount and commitment keys → rounded amounts, from the definition."""
    amounts: Amounts = {}
    left = dict(charged)
    discounts = terms.get("discounts", [])
    for discount in [candidate for candidate in discounts if "product" in candidate] + [
        candidate for candidate in discounts if "product" not in candidate
    ]:
        left_in_all = sum(left.values(), Fraction(0))
        base = min(left.get(discount["product"], Fraction(0)), left_in_all) if "product" in discount else left_in_all
        if base <= 0:
            continue
        full_amount = (
            base * Fraction(discount["percent"]) / 100 if "percent" in discount else Fraction(discount["amount"])
        )
        off = rounded(min(full_amount, base), currency)
        left[discount.get("product", "")] = left.get(discount.get("product", ""), Fraction(0)) - off
        amounts[f"discount:{discount['code']}"] = -off
    missing = Fraction(terms.get("minimum_commitment", 0)) - sum(left.values(), Fraction(0))
    if "minimum_commitment" in terms and charged and missing > 0:
        amounts[COMMITMENT] = rounded(missing, currency)
    return amounts


def rounded(amount: Fraction, currency: str) -> Fraction:
    """The amount to the digits of its currency, half away from zero."""
    scale = 10 ** exponent(currency)
    away = int(abs(amount) * scale + Fraction(1, 2))
    return Fraction(away if amount >= 0 else -away, scale)


def total(parts: Iterable[tuple[str, Fraction | Decimal]]) -> Amounts:
    """Sums by key."""
    sums: Amounts = {}
    for key, amount in parts:
        sums[key] = sums.get(key, Fraction(0)) + Fraction(amount)
    return sums


def minus(expected: Amounts, already: Amounts) -> Amounts:
    """``expected`` less ``already``, by key."""
    return total([*expected.items(), *((key, -amount) for key, amount in already.items())])


def text(amount: Fraction) -> str:
    """The amount as a plain decimal."""
    return plain(Decimal(amount.numerator) / amount.denominator)
