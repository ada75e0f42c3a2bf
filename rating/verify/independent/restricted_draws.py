"""Draws of grants that pay lines of some products alone. By fractions: it shares no code with what draws."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction

from rating.verify.chains import Head, StoredLine, StoredLines
from rating.verify.difference import Findings
from rating.verify.independent.periods import REMEDY
from schemas.catalog.state import Catalog
from schemas.ledgers.invoice_claims import VOID


def beyond_products(lines: Iterable[StoredLine]) -> Iterator[tuple[tuple[str, ...], Fraction, Fraction]]:
    """(products, what an invoice bills of them, what grants of these or fewer of them paid) wherever that is more."""
    billed: dict[str, Fraction] = {}
    draws: list[tuple[frozenset[str], Fraction]] = []
    off_all = Fraction(0)
    for line in lines:
        if line.kind != "credit" and not line.product and line.charge.partition(":")[0] == "discount":
            off_all -= Fraction(line.amount)
        elif line.kind != "credit" and line.product:
            billed[line.product] = billed.get(line.product, Fraction(0)) + Fraction(line.amount)
        elif '"products"' in line.price and line.amount < 0:
            draws.append((frozenset(json.loads(line.price)["products"]), -Fraction(line.amount)))
    in_all = sum((amount for amount in billed.values() if amount > 0), Fraction(0))
    kept = max(1 - max(off_all, Fraction(0)) / in_all, Fraction(0)) if in_all else Fraction(1)
    for products in sorted({tuple(sorted(products)) for products, _ in draws}):
        most = kept * sum((max(billed.get(product, Fraction(0)), Fraction(0)) for product in products), Fraction(0))
        drawn = sum((amount for of, amount in draws if of <= set(products)), Fraction(0))
        if drawn > most:
            yield products, most, drawn


def given_back_of_products(lines: Iterable[StoredLine]) -> Iterator[tuple[tuple[str, ...], Fraction, Fraction]]:
    """(products, by how much the invoice's lines of them are less than nothing, what came back to grants of these or
    fewer of them for it)."""
    billed: dict[str, Fraction] = {}
    given: list[tuple[frozenset[str], Fraction]] = []
    for line in lines:
        if line.kind != "credit" and line.product:
            billed[line.product] = billed.get(line.product, Fraction(0)) + Fraction(line.amount)
        elif '"products"' in line.price and line.amount > 0:
            given.append((frozenset(json.loads(line.price)["products"]), Fraction(line.amount)))
    for products in sorted({tuple(sorted(products)) for products, _ in given}):
        most = sum((max(-billed.get(product, Fraction(0)), Fraction(0)) for product in products), Fraction(0))
        yield products, most, sum((amount for of, amount in given if of <= set(products)), Fraction(0))


def check_pinned_products(heads: Iterable[Head], lines: StoredLines, catalog: Catalog, findings: Findings) -> None:
    """Every draw pins the products that a version of its grant has, and none where none has some."""
    known: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for head in heads:
        for line in lines.get((head.namespace, head.invoice_id, head.version), ()):
            if line.kind != "credit" or line.amount >= 0 or head.state == VOID:
                continue
            code = line.charge.partition(":")[2].partition("@")[0]
            of_grant = known.get((head.namespace, code))
            if of_grant is None:
                versions = catalog.view(head.namespace).history("credit_grant", code)
                of_grant = known[head.namespace, code] = {version.model.products for version in versions}
            pinned = tuple(json.loads(line.price).get("products", ())) if '"products"' in line.price else ()
            if of_grant and pinned not in of_grant:
                expected = " or ".join(", ".join(products) or "no products" for products in sorted(of_grant))
                location = f"{head.place}, line {line.number}, what grant {code} pays"
                findings.add("credit", location, expected, ", ".join(pinned) or "no products", REMEDY)
