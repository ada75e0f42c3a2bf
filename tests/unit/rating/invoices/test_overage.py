"""What grants do not cover of an invoice in an own unit, in money: shown, paid, pinned, and verified."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.amounts.prepaid.overage import in_units, payable
from rating.invoices.transitions import ChangeRefused, NewPayment, amount_due, with_payment
from rating.verify.difference import Findings
from rating.verify.invoices.pinned_terms import check_terms
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.builders import Shelf
from tests.unit.rating.invoicing.builders import FEBRUARY, Books, amounts, catalog, plan, used

CALLS = {"model": "per_unit", "unit_amount": "1"}
OVERAGE = {"currency": "USD", "rate": "0.00125"}


def tokens(granted: str = "1000", **of_plan: Any) -> Shelf:
    result = catalog(CALLS)
    result.add("unit", {"code": "token"})
    result.add("plan", plan(CALLS) | {"currency": "token", "overage": OVERAGE} | of_plan)
    subscription = result.view().get("subscription", "s")
    assert subscription is not None
    result.add("subscription", dict(subscription.body) | {"plan_version": 2})
    result.add("credit_grant", {"code": "g", "account": "acme", "currency": "token", "amount": granted})
    result.add("credit_grant", {"code": "money", "account": "acme", "currency": "USD", "amount": "50"})
    return result


def january(shelf: Shelf, quantity: int) -> Invoice:
    (invoice,) = Books(shelf, [used(3, quantity)]).close(FEBRUARY)
    return invoice


def due(invoice: Invoice) -> dict[str, Any] | None:
    body = body_of(invoice)
    return payable(amount_due(invoice.state, Decimal(invoice.total), body), body)


def payment(amount: str, reference: str = "r") -> NewPayment:
    return NewPayment(reference, Decimal(amount), 0, "me")


def paid(invoice: Invoice, amount: str, currency: str | None, reference: str = "r") -> Invoice | None:
    return with_payment(invoice, in_units(invoice, payment(amount, reference), currency))


def test_what_grants_do_not_cover_is_money_at_the_plans_rate() -> None:
    invoice = january(tokens(), 1234)
    assert amounts([invoice]) == ["usage c 1234", "credit credit:g -1000"]
    assert (invoice.currency, invoice.total, invoice.state) == ("token", "234", "finalized")
    assert due(invoice) == {"currency": "USD", "rate": "0.00125", "amount": "0.29"}, "234 × 0.00125 = 0.2925"
    covered = january(tokens("5000"), 1234)
    assert (covered.total, covered.state) == ("0", "paid")
    assert due(covered) == {"currency": "USD", "rate": "0.00125", "amount": "0.00"}
    unpriced = january(tokens(overage=None), 1234)
    assert (unpriced.total, due(unpriced)) == ("234", None)
    assert "overage" not in body_of(unpriced)


def test_money_pays_all_that_is_due_and_units_a_part() -> None:
    invoice = january(tokens(), 1234)
    with pytest.raises(ChangeRefused, match=r"0\.28 USD is not the 0\.29 that the 234 token due on invoice .* come to"):
        paid(invoice, "0.28", "USD")
    with pytest.raises(ChangeRefused, match="is paid in USD or token, not in EUR"):
        paid(invoice, "0.29", "EUR")
    whole = paid(invoice, "0.29", "USD")
    assert whole is not None
    assert (whole.state, body_of(whole).payments[0]["amount"]) == ("paid", "234")
    assert paid(whole, "0.29", "USD") is None, "recorded once"
    with pytest.raises(ChangeRefused):
        paid(whole, "0.29", "USD", "another")
    part = paid(invoice, "200", None)
    assert part is not None
    assert due(part) == {"currency": "USD", "rate": "0.00125", "amount": "0.04"}
    with pytest.raises(ChangeRefused, match="is paid in token, not in USD"):
        paid(january(tokens(overage=None), 1234), "0.29", "USD")


def test_another_rate_than_the_plans_is_told_by_verification() -> None:
    shelf = tokens()
    invoice = january(shelf, 1234)
    other = shelf.view()
    for pinned, told in ((invoice, []), (_repinned(invoice), ["pinned terms"])):
        findings = Findings()
        check_terms(other, [pinned], pinned, "invoice", findings)
        assert [difference.what for difference in findings.differences()] == told


def _repinned(invoice: Invoice) -> Invoice:
    return replace(invoice, body=body_of(invoice).changed({"overage": OVERAGE | {"rate": "1"}}).text())
