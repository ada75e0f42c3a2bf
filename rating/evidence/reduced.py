"""Check 4, last part: discounts, true-ups and credits, worked out again from the lines and the terms pinned on each invoice.

By fractions and on its own: it shares no arithmetic with the close.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from rating.evidence.chains import COPY_REMEDY, Head, Line, Lines
from rating.evidence.difference import Findings
from schemas.catalog.state import Catalog
from schemas.currency import exponent
from schemas.invoices import VOID
from schemas.prices import plain

_REMEDY: Final = "void the invoice and bill the period again; its lines and the terms pinned on it are the truth"
_CHARGES: Final = ("usage", "flat")

Amounts = dict[str, Fraction]


def is_reduction(line: Line) -> bool:
    """A discount, a true-up, a credit, or the adjustment of one: no usage stands behind it."""
    return line.kind in ("discount", "commitment", "credit") or ":" in line.charge


def check_reductions(heads: Iterable[Head], lines: Lines, catalog: Catalog, findings: Findings) -> None:
    """Every standing invoice's discounts and true-up, their adjustments, its subtotal, and the credits drawn in all."""
    chains: dict[tuple[str, str], dict[str, Head]] = {}
    for head in heads:
        chains.setdefault((head.namespace, head.subscription), {})[head.invoice_id] = head
    used: dict[tuple[str, str], Fraction] = {}
    for chain in chains.values():
        for head in chain.values():
            if head.state == VOID:
                continue
            mine = lines.get((head.namespace, head.invoice_id, head.version), ())
            _check_own(head, mine, findings)
            _check_adjusted(head, mine, chain, lines, findings)
            _check_credits(head, mine, findings)
            for line in mine:
                if line.kind == "credit":
                    key = head.namespace, line.charge.partition(":")[2]
                    used[key] = used.get(key, Fraction(0)) - Fraction(line.amount)
    for (namespace, code), drawn in sorted(used.items()):
        granted = _granted(catalog, namespace, code)
        if granted is None or drawn > granted:
            expected = "a grant in the catalog" if granted is None else f"at most {_text(granted)}, what was granted"
            findings.add("credit", f"credit grant {code} of {namespace}", expected, f"{_text(drawn)} drawn", _REMEDY)


def _check_own(head: Head, mine: Iterable[Line], findings: Findings) -> None:
    charged = _sum((line.product, line.amount) for line in mine if line.kind in _CHARGES)
    expected = _reductions(charged, _terms(head), head.currency)
    found = _sum((line.charge, line.amount) for line in mine if line.kind in ("discount", "commitment"))
    _compare(head, "", expected, found, findings)


def _check_adjusted(
    head: Head, mine: Iterable[Line], chain: Mapping[str, Head], lines: Lines, findings: Findings
) -> None:
    """What this invoice adjusts of an earlier one's terms, by what the invoices before it that were not void then had come to."""
    for name in dict.fromkeys(line.adjusts for line in mine if line.adjusts):
        original = chain.get(name)
        before = [one for one in _before(head, chain) if one.invoice_id not in head.voids]
        if original is None or not _terms(original):
            continue
        charged: Amounts = {}
        billed: Amounts = {}
        for one in before:
            for line in lines.get((one.namespace, one.invoice_id, one.version), ()):
                if line.adjusts == name or (one is original and line.kind in (*_CHARGES, "discount", "commitment")):
                    where, key = (billed, line.charge) if ":" in line.charge else (charged, line.product)
                    where[key] = where.get(key, Fraction(0)) + Fraction(line.amount)
        adjusting = [line for line in mine if line.adjusts == name]
        for line in adjusting:
            if ":" not in line.charge:
                charged[line.product] = charged.get(line.product, Fraction(0)) + Fraction(line.amount)
        now = _reductions(charged, _terms(original), original.currency)
        expected = {key: now.get(key, Fraction(0)) - billed.get(key, Fraction(0)) for key in now.keys() | billed.keys()}
        found = _sum((line.charge, line.amount) for line in adjusting if ":" in line.charge)
        _compare(head, f", adjustment of {name}", expected, found, findings)


def _check_credits(head: Head, mine: Iterable[Line], findings: Findings) -> None:
    credits = sum((Fraction(line.amount) for line in mine if line.kind == "credit"), Fraction(0))
    subtotal = sum((Fraction(line.amount) for line in mine if line.kind != "credit"), Fraction(0))
    pinned = json.loads(head.body or "{}").get("subtotal")
    if pinned is not None and Fraction(pinned) != subtotal:
        findings.add(
            "invoice",
            f"{head.place}, subtotal",
            f"{_text(subtotal)}, the sum of its lines without credits",
            pinned,
            COPY_REMEDY,
        )
    if credits > 0 or -credits > max(subtotal, Fraction(0)):
        findings.add(
            "invoice", f"{head.place}, credits", f"at most its subtotal {_text(subtotal)}", _text(-credits), _REMEDY
        )


def _compare(head: Head, where: str, expected: Amounts, found: Amounts, findings: Findings) -> None:
    for key in sorted(expected.keys() | found.keys()):
        one, other = expected.get(key, Fraction(0)), found.get(key, Fraction(0))
        if one != other:
            findings.add("invoice line", f"{head.place}, {key}{where}", _text(one), _text(other), _REMEDY)


def _reductions(charged: Amounts, terms: Mapping[str, Any], currency: str) -> Amounts:
    """Discount and commitment keys → rounded amounts, from the definition."""
    found: Amounts = {}
    left = dict(charged)
    discounts = terms.get("discounts", [])
    for discount in [one for one in discounts if "product" in one] + [one for one in discounts if "product" not in one]:
        whole = sum(left.values(), Fraction(0))
        base = min(left.get(discount["product"], Fraction(0)), whole) if "product" in discount else whole
        if base <= 0:
            continue
        wanted = base * Fraction(discount["percent"]) / 100 if "percent" in discount else Fraction(discount["amount"])
        off = _rounded(min(wanted, base), currency)
        left[discount.get("product", "")] = left.get(discount.get("product", ""), Fraction(0)) - off
        found[f"discount:{discount['code']}"] = -off
    missing = Fraction(terms.get("minimum_commitment", 0)) - sum(left.values(), Fraction(0))
    if "minimum_commitment" in terms and charged and missing > 0:
        found["commitment:"] = _rounded(missing, currency)
    return found


def _rounded(amount: Fraction, currency: str) -> Fraction:
    """Half away from zero."""
    scale = 10 ** exponent(currency)
    away = int(abs(amount) * scale + Fraction(1, 2))
    return Fraction(away if amount >= 0 else -away, scale)


def _terms(head: Head) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(head.body or "{}").get("terms", {})
    return found


def _before(head: Head, chain: Mapping[str, Head]) -> Iterator[Head]:
    seen = {head.invoice_id}
    one = chain.get(head.predecessor)
    while one is not None and one.invoice_id not in seen:
        seen.add(one.invoice_id)
        yield one
        one = chain.get(one.predecessor)


def _sum(parts: Iterable[tuple[str, Any]]) -> Amounts:
    found: Amounts = {}
    for key, amount in parts:
        found[key] = found.get(key, Fraction(0)) + Fraction(amount)
    return found


def _granted(catalog: Catalog, namespace: str, code: str) -> Fraction | None:
    versions = catalog.view(namespace).history("credit_grant", code)
    return Fraction(max(version.model.amount for version in versions)) if versions else None


def _text(amount: Fraction) -> str:
    return plain(Decimal(amount.numerator) / amount.denominator)
