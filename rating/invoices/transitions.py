"""Changes of a finalised invoice (voiding, payments) as its next version, and code shared with ``credit_notes.py``.
Pure.

A version contains everything of the previous one; lines and totals never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from rating.invoices.chain import credited_since, given_back_by, invoices_built_on, last_order, voids_of
from rating.periods import parse_zone
from rating.pricing import money_text, plain
from rating.pricing.exact import exact_sum
from schemas.errors import WeirError
from schemas.ledgers.invoice_claims import FINALIZED, PAID, VOID, is_draft
from schemas.ledgers.invoice_details import Body, CreditNoteEntry, PaymentEntry
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.currency import exponent
from schemas.values.instants import instant, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

E = TypeVar("E", PaymentEntry, CreditNoteEntry)


class ChangeRefused(WeirError):
    """The invoice cannot be changed like this in its present state; the message states the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment; ``amount`` in the invoice's currency, negative for a refund. ``reference``: unique identifier.
    ``invoice``: the other invoice of a transfer (``invoices/amounts/account_balances.py``), "" for money that
    moved."""

    reference: str
    amount: Decimal
    paid_at_us: int
    author: str
    invoice: str = ""


def amount_paid(payments: Iterable[PaymentEntry | CreditNoteEntry]) -> Decimal:
    """Sum of an invoice's payments or credit notes."""
    return exact_sum(Decimal(payment["amount"]) for payment in payments)


def amount_due(state: str, total: Decimal, body: Body) -> Decimal:
    """The amount still to be paid; negative: still to be refunded; 0 on a draft or void invoice."""
    if state not in (FINALIZED, PAID):
        return Decimal(0)
    settled = (amount_paid(body.payments), amount_paid(body.credit_notes))
    due = exact_sum((total, *(-line for line in settled)))
    return min(due, Decimal(0)) if total < 0 else max(due, Decimal(0))


def voided(chain: Sequence[Invoice], invoice: Invoice, reason: str, author: str, at_us: int) -> Invoice | None:
    """``invoice``, a member of ``chain``, as void; None if it is void already. Raises Refused."""
    name = _finalised(invoice)
    if invoice.state == VOID:
        return None
    body = body_of(invoice)
    if body.credit_notes:
        raise ChangeRefused(f"invoice {name} has credit notes, which stand; credit the rest of it instead")
    payments = body.payments
    paid = amount_paid([payment for payment in payments if not payment.get("invoice")])
    drawn = [payment for payment in payments if payment.get("invoice")]
    if Decimal(invoice.total) < 0 and amount_paid(drawn):
        payers = [payment["invoice"] for payment in drawn]
        raise ChangeRefused(
            f"invoice {name} has paid {', '.join(sorted(set(payers)))} from its balance; void {_that(payers)} first"
        )
    if paid:
        raise ChangeRefused(
            f"invoice {name} has payments of {plain(paid)} {invoice.currency}; record what is paid back as a payment"
            " of a negative amount first"
        )
    if others := invoices_built_on(chain, name):
        raise ChangeRefused(
            f"invoice {name} is adjusted by {', '.join(others)}; void {_that(others)} first, the last one before "
            "the others"
        )
    if others := given_back_by(chain, invoice):
        raise ChangeRefused(
            f"invoice {name} drew on prepaid credit, of which {', '.join(others)} gave some back; void {_that(others)}"
            " first, the last one before the others"
        )
    if noted := credited_since(chain, invoice):
        raise ChangeRefused(
            f"invoice {name} added to {', '.join(noted)}, of which a credit note has credited something since, and may"
            " have credited that; take back the events instead (`weir void`), which the next invoice adjusts"
        )
    void: JsonObject = {
        "reason": reason, "author": author, "at": rfc3339(at_us),
        "head": chain[-1].invoice_id, "voids": list(voids_of(chain)),
    }  # fmt: skip
    if any(line.adjusts for line in invoice.lines):
        void["after_note"] = last_order(chain)
    return _next(invoice, VOID, {"void": void})


def _that(others: Sequence[str]) -> str:
    return "that one" if len(others) == 1 else "those"


def with_payment(invoice: Invoice, payment: NewPayment) -> Invoice | None:
    """``invoice`` with another payment, in state paid once its total is reached; None if the payment is recorded
    already.

    Raises Refused, also if ``payment.reference`` was used for another amount.
    """
    name, currency = invoice.invoice_id, invoice.currency
    recorded = body_of(invoice).payments
    payments = entries(
        invoice, "payment", recorded, payment.reference, lambda known: Decimal(known["amount"]) == payment.amount
    )
    if payments is None:
        return None
    check_digits(payment.amount, currency)
    total = Decimal(invoice.total)
    due = amount_due(invoice.state, total, body_of(invoice))
    if total < 0:
        _check_back(name, currency, payment.amount, due, amount_paid(payments))
    elif payment.amount > due:
        raise ChangeRefused(
            f"{plain(payment.amount)} {currency} is more than the {money_text(due, currency)} due on invoice {name};"
            " record at most that, and the rest on another invoice or as a credit grant"
        )
    paid = exact_sum((amount_paid(payments), payment.amount))
    if not payment.amount or (paid < 0 <= total):
        raise ChangeRefused(
            f"payments of invoice {name} would come to {plain(paid)} {currency}; pay back at most what was paid, and "
            "never 0"
        )
    entry: PaymentEntry = {
        "reference": payment.reference, "amount": money_text(payment.amount, currency),
        "paid_at": rfc3339(payment.paid_at_us), "author": payment.author,
    }  # fmt: skip
    if payment.invoice:
        entry["invoice"] = payment.invoice
    return settled(invoice, {"payments": [*payments, entry]})


def _check_back(name: str, currency: str, amount: Decimal, due: Decimal, paid: Decimal) -> None:
    """A payment on a negative invoice is a refund of at most the remainder; a positive one reverses a refund.
    Raises Refused."""
    if amount < due:
        raise ChangeRefused(
            f"{plain(amount)} {currency} is more than the {money_text(due, currency)} that are to be paid back of "
            f"invoice {name}; record at"
            " most that (the rest was paid back, or paid other invoices)"
        )
    if amount > 0 and exact_sum((paid, amount)) > 0:
        raise ChangeRefused(
            f"invoice {name} is a credit, of which {plain(-paid)} {currency} are paid back; pay it back by a "
            "negative amount, e.g."
            f" {money_text(due, currency)}"
        )


def entries(
    invoice: Invoice, word: str, recorded: Sequence[E], reference: str, same: Callable[[E], bool]
) -> Sequence[E] | None:
    """The invoice's payments or credit notes in ``recorded``, to which another may be added; None if one with this
    ``reference`` and the ``same`` content is recorded already.

    ``word``: what an entry is called in messages. Raises Refused if the content differs, and for a draft or void
    invoice.
    """
    name = _finalised(invoice)
    known = next((entry for entry in recorded if entry["reference"] == reference), None)
    if known is not None:
        if same(known):
            return None
        raise ChangeRefused(
            f"{word} {reference!r} of invoice {name} is recorded over {known.get('subtotal', known['amount'])} "
            f"{invoice.currency};"
            f" another {word} needs another reference"
        )
    if invoice.state == VOID:
        raise ChangeRefused(
            f"invoice {name} is void, so nothing of it is owed; the {word} belongs on the invoice that bills its "
            "period again"
        )
    return recorded


def _finalised(invoice: Invoice) -> str:
    """The invoice's id. Raises Refused for a draft."""
    name = invoice.invoice_id
    if is_draft(invoice):
        raise ChangeRefused(
            f"invoice {name} is a draft, of which nothing is owed yet; hold it back, or wait until it is finalised"
        )
    return name


def check_digits(amount: Decimal, currency: str) -> None:
    """Raises Refused for an amount with more decimals than the currency has."""
    digits = exponent(currency)
    if amount != round(amount, digits):
        raise ChangeRefused(
            f"{plain(amount)} has more than the {digits} decimal places of {currency}; give an amount that can be paid"
        )


def settled(invoice: Invoice, changes: Mapping[str, Any]) -> Invoice:
    """The next version with these changes of its body; in state paid if nothing is left to pay."""
    due = amount_due(FINALIZED, Decimal(invoice.total), body_of(invoice).changed(changes))
    return _next(invoice, FINALIZED if due else PAID, changes)


def _next(invoice: Invoice, state: str, changes: Mapping[str, Any]) -> Invoice:
    body = body_of(invoice).changed(changes).text()
    return replace(invoice, version=invoice.version + 1, state=state, body=body, claim_id="")


@lru_cache(maxsize=4096)  # a run has one instant, and its accounts few zones and terms
def due_date(finalised_us: int, zone: str, terms_days: int) -> str:
    """The local date (ISO 8601) ``terms_days`` after the local date of finalisation."""
    local = instant(finalised_us).astimezone(parse_zone(zone)).date()
    return (local + timedelta(days=min(terms_days, (date.max - local).days))).isoformat()
