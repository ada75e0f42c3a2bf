"""Draws of grants that pay lines of some products alone. By fractions: it shares no code with what draws."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction

from rating.verify.chains import StoredLine


def beyond_products(lines: Iterable[StoredLine]) -> Iterator[tuple[tuple[str, ...], Fraction, Fraction]]:
    """(products, what an invoice bills of them, what grants of these or fewer of them paid) wherever that is more."""
    billed: dict[str, Fraction] = {}
    draws: list[tuple[frozenset[str], Fraction]] = []
    for line in lines:
        if line.kind != "credit":
            billed[line.product] = billed.get(line.product, Fraction(0)) + Fraction(line.amount)
        elif '"products"' in line.price and line.amount < 0:
            draws.append((frozenset(json.loads(line.price)["products"]), -Fraction(line.amount)))
    for products in sorted({tuple(sorted(products)) for products, _ in draws}):
        most = sum((max(billed.get(product, Fraction(0)), Fraction(0)) for product in products), Fraction(0))
        drawn = sum((amount for of, amount in draws if of <= set(products)), Fraction(0))
        if drawn > most:
            yield products, most, drawn
