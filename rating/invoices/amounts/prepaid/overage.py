"""What an invoice in an own unit comes to in money: what is due, at the rate that its plan had. Pure."""

from __future__ import annotations

from decimal import Decimal

from rating.invoices.transitions import ChangeRefused, NewPayment, amount_due
from rating.pricing import money_text, plain, round_money
from rating.pricing.exact import exactly
from schemas.ledgers.invoice_details import Body
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace


def in_money(units: Decimal, body: Body) -> Decimal | None:
    """What so many units of the invoice come to, rounded once to the money's digits; None: it is in money itself, or
    nothing is paid for what grants do not cover."""
    if (overage := body.overage) is None:
        return None
    with exactly():
        return round_money(units * Decimal(overage["rate"]), overage["currency"])


def payable(units: Decimal, body: Body) -> JsonObject | None:
    """The same for answers, with the rate."""
    overage, amount = body.overage, in_money(units, body)
    if overage is None or amount is None:
        return None
    return {"currency": overage["currency"], "rate": overage["rate"], "amount": money_text(amount, overage["currency"])}


def in_units(invoice: Invoice, payment: NewPayment, currency: str | None) -> NewPayment:
    """The payment in the invoice's own currency. ``currency``: that of its amount, None: the invoice's. Money pays all
    that is due of an invoice in units, since a part of it would be no whole number of them. Raises ChangeRefused."""
    if currency is None or currency == invoice.currency:
        return payment
    body = body_of(invoice)
    overage = body.overage
    if overage is None or overage["currency"] != currency:
        of = invoice.currency if overage is None else f"{overage['currency']} or {invoice.currency}"
        raise ChangeRefused(f"invoice {invoice.invoice_id} is paid in {of}, not in {currency}")
    for known in body.payments:  # recorded already, or refused as another one under this reference
        if known["reference"] == payment.reference and in_money(Decimal(known["amount"]), body) == payment.amount:
            return replace(payment, amount=Decimal(known["amount"]))
    due = amount_due(invoice.state, Decimal(invoice.total), body)
    if (money := in_money(due, body)) != payment.amount:
        raise ChangeRefused(
            f"{plain(payment.amount)} {currency} is not the {money_text(money or Decimal(0), currency)} that the"
            f" {money_text(due, invoice.currency)} {invoice.currency} due on invoice {invoice.invoice_id} come to; pay"
            f" all of it, or a part in {invoice.currency}"
        )
    return replace(payment, amount=due)
