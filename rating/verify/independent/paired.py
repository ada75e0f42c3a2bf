"""Check 4, of invoices below zero that paid others: both payments of a draw are there, and come to nothing.

On its own: it shares no code with the close.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

from rating.verify.chains import Head
from rating.verify.difference import Findings
from rating.verify.independent.periods import text
from schemas.ledgers.invoice_claims import VOID

_CLOSE: Final = "`weir close` records the one that is missing"
_BY_HAND: Final = (
    "record what is wrong with the opposite sign (`weir invoice pay`) once it is known which of both is true"
)


def check_paired(heads: Iterable[Head], findings: Findings) -> None:
    """Of every payment by which an invoice below zero pays another: the other's, or that it came back; and none without
    it."""
    by_id = {(head.namespace, head.invoice_id): head for head in heads}
    for head in by_id.values():
        for name in {one["invoice"] for one in _payments(head) if one.get("invoice")}:
            other = by_id.get((head.namespace, name))
            place = f"{head.place}, payments with {name}"
            gone = [] if other is None or other.state == VOID else _payments(other)
            mine = {one["reference"]: Fraction(one["amount"]) for one in _payments(head) if one.get("invoice") == name}
            theirs = {
                one["reference"]: Fraction(one["amount"]) for one in gone if one.get("invoice") == head.invoice_id
            }
            if head.total < 0:
                drawn, back = -mine.get(f"for {name}", Fraction(0)), mine.get(f"back from {name}", Fraction(0))
                _compare(place, drawn, back + theirs.get(f"of {head.invoice_id}", Fraction(0)), findings)
            elif head.state != VOID:
                received, given = (
                    mine.get(f"of {name}", Fraction(0)),
                    -theirs.get(f"for {head.invoice_id}", Fraction(0)),
                )
                if other is None or (received and not given):
                    findings.add("invoice payment", place, "a payment by that one", f"{text(received)} alone", _BY_HAND)


def _compare(place: str, drawn: Fraction, arrived: Fraction, findings: Findings) -> None:
    if drawn != arrived:
        remedy = _BY_HAND if arrived else _CLOSE
        findings.add("invoice payment", place, f"{text(drawn)} on the other, or back", text(arrived), remedy)


def _payments(head: Head) -> list[Mapping[str, Any]]:
    if '"payments"' not in head.body:
        return []
    found: list[Mapping[str, Any]] = json.loads(head.body).get("payments", [])
    return found
