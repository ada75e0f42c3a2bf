"""Discounts and true-ups by their periods (``periods``), subtotals, and prepaid credits, worked out again from the
lines and the terms pinned on each invoice. By fractions and on its own: it shares no arithmetic with the close."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

from rating.verify.chains import COPY_REMEDY, Head, StoredLine, StoredLines
from rating.verify.difference import Findings
from rating.verify.independent.amounts import text
from rating.verify.independent.balance_payments import check_balance_payments
from rating.verify.independent.credited_as_a_whole import check_in_all
from rating.verify.independent.interim_lines import check_interims
from rating.verify.independent.invoice_chain import in_order
from rating.verify.independent.notes import check_notes
from rating.verify.independent.periods import REMEDY, Periods
from rating.verify.independent.recurring_grants import is_covered, retired_spans
from rating.verify.independent.restricted_draws import beyond_products, given_back_of_products
from rating.verify.invoice_body import read_body
from schemas.catalog.state import Catalog, NamespaceView
from schemas.catalog.terms import CreditGrant
from schemas.ledgers.invoice_claims import VOID

_CHARGES: Final = frozenset({"usage", "flat"})
_EXACT: Final = Context(prec=400)  # more digits than amounts of a column can add up to


def is_reduction(line: StoredLine) -> bool:
    """A discount, a true-up, a credit, or the adjustment of one: no usage stands behind it."""
    return line.kind in ("discount", "commitment", "credit") or ":" in line.charge


Drawn = dict[tuple[str, str], Fraction]
"""(namespace, grant) → what invoices drew, less what came back."""


def check_lot(heads: Iterable[Head], lines: StoredLines, used: Drawn, findings: Findings) -> None:
    """Every standing invoice's discounts and true-up, their adjustments, and its subtotal; adds the credits drawn to
    ``used``. All invoices of whoever has one are there."""
    chains: dict[tuple[str, str], dict[str, Head]] = {}
    all_heads = list(heads)
    check_balance_payments(all_heads, findings)
    for head in all_heads:
        chains.setdefault((head.namespace, head.subscription), {})[head.invoice_id] = head
    for chain in chains.values():
        if _is_plain(chain, lines):
            for head in chain.values():
                if head.state != VOID:
                    _check_sum(head, lines.get((head.namespace, head.invoice_id, head.version), ()), findings)
            continue
        periods = Periods(chain, lines, findings)
        drawn_by_grant: dict[str, Fraction] = {}  # grant → what the subscription drew, less what came back
        for head in in_order(chain):
            if head.state == VOID:
                continue
            head_lines = lines.get((head.namespace, head.invoice_id, head.version), ())
            periods.check(head)
            missing = check_notes(head, chain, lines, periods, findings)
            check_in_all(head, chain, lines, periods, missing, findings)
            check_interims(head, chain, lines, findings)
            _check_credits(head, head_lines, findings)
            for code, amount in _draws(head, head_lines):
                key = head.namespace, code
                used[key] = used.get(key, Fraction(0)) + amount
                drawn_by_grant[code] = drawn_by_grant.get(code, Fraction(0)) + amount
        for code, amount in sorted(drawn_by_grant.items()):
            if amount < 0:
                location = f"credit grant {code}, by invoices of {next(iter(chain.values())).subscription}"
                findings.add("credit", location, "at most what they drew comes back", f"{text(-amount)} more", REMEDY)


def _is_plain(chain: Mapping[str, Head], lines: StoredLines) -> bool:
    """Whether no invoice of the chain has terms, credit notes or adjustments, or anything but usage and fees: then
    there is nothing but its subtotal to look at."""
    return not any(
        '"terms' in head.body
        or '"interim"' in head.body
        or '"credit_note' in head.body
        or any(
            line.kind not in _CHARGES or line.adjusts or ":" in line.charge
            for line in lines.get((head.namespace, head.invoice_id, head.version), ())
        )
        for head in chain.values()
    )


def _check_sum(head: Head, head_lines: Sequence[StoredLine], findings: Findings) -> None:
    """``_check_credits`` of an invoice without credits, exact as well."""
    subtotal = Decimal(0)
    for line in head_lines:
        subtotal = _EXACT.add(subtotal, line.amount)
    pinned = read_body(head.body).get("subtotal")
    if pinned is not None and _EXACT.create_decimal(pinned) != subtotal:
        _check_credits(head, head_lines, findings)


def check_granted(used: Drawn, catalog: Catalog, findings: Findings) -> None:
    """What all invoices drew of each grant is at most what it has; of one that recurs, of each recurrence."""
    by_grant: dict[tuple[str, str], dict[str, Fraction]] = {}
    for (namespace, code), drawn in used.items():
        by_grant.setdefault((namespace, code.partition("@")[0]), {})[code] = drawn
    for (namespace, code), draws in sorted(by_grant.items()):
        view = catalog.view(namespace)
        history = view.history("credit_grant", code)
        versions: list[CreditGrant] = [version.model for version in history]
        in_all = sum(draws.values(), Fraction(0))
        granted = Fraction(max(version.amount for version in versions)) if versions else None
        location = f"credit grant {code} of {namespace}"
        recurring = [version for version in versions if version.recurrence is not None]
        if granted is not None and recurring:
            most = Fraction(max(version.recurrence.rollover for version in recurring if version.recurrence))
            zone = _zone(view, versions[-1])
            retired = retired_spans(history)
            if not any(is_covered(version, granted, most, draws, zone, retired) for version in recurring):
                shown = ", ".join(f"{text(drawn)} of {name}" for name, drawn in sorted(draws.items()))
                expected = f"of each recurrence at most {text(granted)}, and up to {text(most)} that rolled over"
                findings.add("credit", location, expected, f"{shown} drawn", REMEDY)
        elif granted is None or in_all > granted:
            expected = "a grant in the catalog" if granted is None else f"at most {text(granted)}, what was granted"
            findings.add("credit", location, expected, f"{text(in_all)} drawn", REMEDY)


def _zone(view: NamespaceView, grant: CreditGrant) -> str:
    """Whose dates the grant's are."""
    if grant.account is not None:
        return view.time_zone(grant.account)
    owners = view.history("subscription", grant.subscription or "")
    return view.time_zone(owners[-1].model.account) if owners else "UTC"


def _draws(head: Head, head_lines: Iterable[StoredLine]) -> Iterator[tuple[str, Fraction]]:
    """(grant, amount), below zero for what came back: by its lines, and by its credit notes."""
    for line in head_lines:
        if line.kind == "credit":
            yield line.charge.partition(":")[2], -Fraction(line.amount)
    for note in read_body(head.body).get("credit_notes", []):
        for part in note.get("prepaid", []):
            yield part["grant"], -Fraction(part["amount"])


def _check_credits(head: Head, head_lines: Sequence[StoredLine], findings: Findings) -> None:
    for products, most, drawn in beyond_products(head_lines):
        location = f"{head.place}, credits for {', '.join(products)}"
        findings.add("invoice", location, f"at most {text(most)}, what it bills of them", text(drawn), REMEDY)
    for products, most, given in given_back_of_products(head_lines):
        if given > most:
            location = f"{head.place}, credits given back for {', '.join(products)}"
            findings.add("invoice", location, f"at most {text(most)}, what it credits of them", text(given), REMEDY)
    credits = of_products = Fraction(0)
    for line in head_lines:
        if line.kind == "credit" and line.amount > 0 and '"products"' in line.price:
            of_products += Fraction(line.amount)
        elif line.kind == "credit":
            credits += Fraction(line.amount)
    subtotal = sum((Fraction(line.amount) for line in head_lines if line.kind != "credit"), Fraction(0))
    pinned = read_body(head.body).get("subtotal")
    if pinned is not None and Fraction(pinned) != subtotal:
        findings.add(
            "invoice",
            f"{head.place}, subtotal",
            f"{text(subtotal)}, the sum of its lines without credits",
            pinned,
            COPY_REMEDY,
        )
    subtotal += of_products  # so much more is paid by others than the grants of what is credited
    if subtotal < 0 <= credits <= -subtotal:  # given back to the grants that had paid what is credited
        return
    if credits > 0 or -credits > max(subtotal, Fraction(0)):
        findings.add(
            "invoice", f"{head.place}, credits", f"at most its subtotal {text(subtotal)}", text(-credits), REMEDY
        )
