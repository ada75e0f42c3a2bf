"""What becomes of an invoice after it was finalised, as its next version on usage.invoices: void, payments. Pure.

A version holds all of the one before it; lines and totals never change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rating.close.chain import counted_on_by, voids_of
from rating.close.lines import exact_sum
from rating.close.standing import Invoice
from rating.pricing import money_text, plain
from schemas.currency import exponent
from schemas.instants import rfc3339
from schemas.invoices import FINALIZED, PAID, VOID, body_of


class Refused(Exception):
    """An invoice cannot be changed so as it is now; the message names the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Payment:
    """``amount`` in the invoice's currency, negative for one that was paid back. ``reference`` names it once and for all."""

    reference: str
    amount: Decimal
    paid_at_us: int
    author: str


def amount_paid(payments: Sequence[Mapping[str, Any]]) -> Decimal:
    """The sum of an invoice's payments as its body has them."""
    return exact_sum(Decimal(one["amount"]) for one in payments)


def amount_due(state: str, total: Decimal, payments: Sequence[Mapping[str, Any]]) -> Decimal:
    """What is still to be paid: nothing on a void invoice, nor where the total is a credit."""
    if state == VOID:
        return Decimal(0)
    return max(exact_sum((total, -amount_paid(payments))), Decimal(0))


def voided(chain: Sequence[Invoice], invoice: Invoice, reason: str, author: str, at_us: int) -> Invoice | None:
    """``invoice``, of ``chain`` as it stands, as void; None where it is so already. Raises Refused."""
    name = invoice["invoice_id"]
    if invoice["state"] == VOID:
        return None
    paid = amount_paid(body_of(invoice).get("payments", ()))
    if paid:
        raise Refused(
            f"invoice {name} has payments of {plain(paid)} {invoice['currency']}; record what is paid back as a payment"
            " of a negative amount first"
        )
    if others := counted_on_by(chain, name):
        raise Refused(
            f"invoice {name} is adjusted by {', '.join(others)}; void {_that(others)} first, the last one before the others"
        )
    void = {
        "reason": reason, "author": author, "at": rfc3339(at_us),
        "head": chain[-1]["invoice_id"], "voids": list(voids_of(chain)),
    }  # fmt: skip
    return _next(invoice, VOID, {"void": void})


def _that(others: Sequence[str]) -> str:
    return "that one" if len(others) == 1 else "those"


def with_payment(invoice: Invoice, payment: Payment) -> Invoice | None:
    """``invoice`` with one payment more, paid once they come to its total; None where that payment is recorded already.

    Raises Refused, also where ``payment.reference`` names another amount.
    """
    name, currency = invoice["invoice_id"], invoice["currency"]
    payments: list[dict[str, Any]] = list(body_of(invoice).get("payments", ()))
    known = next((one for one in payments if one["reference"] == payment.reference), None)
    if known is not None:
        if Decimal(known["amount"]) == payment.amount:
            return None
        raise Refused(
            f"payment {payment.reference!r} of invoice {name} is recorded with {known['amount']} {currency};"
            " another payment needs another reference"
        )
    digits = exponent(currency)
    if payment.amount != round(payment.amount, digits):
        raise Refused(
            f"{plain(payment.amount)} has more than the {digits} decimal places of {currency}; give an amount that can be paid"
        )
    if invoice["state"] == VOID:
        raise Refused(f"invoice {name} is void; record the payment on the invoice that bills its period again")
    due = amount_due(invoice["state"], Decimal(invoice["total"]), payments)
    if payment.amount > due:
        raise Refused(
            f"{plain(payment.amount)} {currency} is more than the {money_text(due, currency)} due on invoice {name};"
            " record at most that, and the rest on another invoice or as a credit grant"
        )
    paid = exact_sum((amount_paid(payments), payment.amount))
    if not payment.amount or paid < 0:
        raise Refused(
            f"payments of invoice {name} would come to {plain(paid)} {currency}; pay back at most what was paid, and never 0"
        )
    payments.append(
        {
            "reference": payment.reference, "amount": money_text(payment.amount, currency),
            "paid_at": rfc3339(payment.paid_at_us), "author": payment.author,
        }
    )  # fmt: skip
    return _next(invoice, PAID if paid == Decimal(invoice["total"]) else FINALIZED, {"payments": payments})


def _next(invoice: Invoice, state: str, changes: Mapping[str, Any]) -> Invoice:
    body = json.dumps(body_of(invoice) | dict(changes), ensure_ascii=False)
    record: dict[str, Any] = dict(invoice)
    return record | {"version": invoice["version"] + 1, "state": state, "body": body, "claim_id": ""}
