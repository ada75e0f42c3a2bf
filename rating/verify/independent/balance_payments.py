"""Invoices below zero that paid others: both payments of a draw are there, and come to nothing.

On its own: it shares no code with the close.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from rating.verify.chains import Head
from rating.verify.difference import Findings
from rating.verify.independent.amounts import text
from rating.verify.invoice_body import StoredPayment, read_body
from schemas.ledgers.invoice_claims import VOID

_CLOSE: Final = "`weir close` records the one that is missing"
_BY_HAND: Final = (
    "record what is wrong with the opposite sign (`weir invoice pay`) once it is known which of both is true"
)


def check_balance_payments(heads: Iterable[Head], findings: Findings) -> None:
    """Of every payment by which an invoice below zero pays another: the other's, or that it came back; and none without
    it."""
    by_id = {(head.namespace, head.invoice_id): head for head in heads}
    for head in by_id.values():
        for name in {payment["invoice"] for payment in _payments(head) if payment.get("invoice")}:
            counterpart = by_id.get((head.namespace, name))
            location = f"{head.place}, payments with {name}"
            counterpart_payments = [] if counterpart is None or counterpart.state == VOID else _payments(counterpart)
            own_payments = {
                payment["reference"]: Fraction(payment["amount"])
                for payment in _payments(head)
                if payment.get("invoice") == name
            }
            their_payments = {
                payment["reference"]: Fraction(payment["amount"])
                for payment in counterpart_payments
                if payment.get("invoice") == head.invoice_id
            }
            if head.total < 0:
                drawn, back = (
                    -own_payments.get(f"for {name}", Fraction(0)),
                    own_payments.get(f"back from {name}", Fraction(0)),
                )
                _compare(location, drawn, back + their_payments.get(f"of {head.invoice_id}", Fraction(0)), findings)
            elif head.state != VOID:
                received, given = (
                    own_payments.get(f"of {name}", Fraction(0)),
                    -their_payments.get(f"for {head.invoice_id}", Fraction(0)),
                )
                if counterpart is None or (received and not given):
                    findings.add(
                        "invoice payment", location, "a payment by that one", f"{text(received)} alone", _BY_HAND
                    )


def _compare(location: str, drawn: Fraction, arrived: Fraction, findings: Findings) -> None:
    if drawn != arrived:
        remedy = _BY_HAND if arrived else _CLOSE
        findings.add("invoice payment", location, f"{text(drawn)} on the other, or back", text(arrived), remedy)


def _payments(head: Head) -> list[StoredPayment]:
    if '"payments"' not in head.body:
        return []
    return read_body(head.body).get("payments", [])
