"""Invoices of 0.00 and below zero: paid at once, paid back, drawn on by the next ones, prepaid credits given back."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.amounts.prepaid.given_back import DrawnOn, to_give_back
from rating.invoices.amounts.prepaid_credits import drawn
from rating.invoices.credit_notes import NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, NewPayment, amount_due, voided, with_payment
from rating.webhooks.notices import event_of
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.builders import Shelf
from tests.unit.rating.invoicing import builders
from tests.unit.rating.verify.builders import verified

BASE = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}
GRANT = {"code": "gift", "account": "acme", "amount": "100", "currency": "USD"}
close = partial(builders.close, dated=True)


def catalog(*grants: dict[str, Any], **subscription: Any) -> Shelf:
    shelf = Shelf()
    shelf.add("product", {"code": "seat", "kind": "flat"})
    for code, ahead in (("basic", True), ("arrears", False)):
        charges = [{"product": "seat", "price": {"model": "flat", "amount": "30"}, "in_advance": ahead}]
        shelf.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE | subscription)
    for grant in grants:
        shelf.add("credit_grant", grant)
    return shelf


def ended(*grants: dict[str, Any]) -> tuple[Shelf, StandingInvoices, Invoice]:
    """A seat of February was billed in advance, and the subscription ended with January: an invoice of −30."""
    result, standing = catalog(*grants), StandingInvoices()
    close(result, standing, "2024-02-01T00:00:00Z")
    result.add("subscription", BASE | {"end": "2024-02-01T00:00:00Z"})
    (alone,) = close(result, standing, "2024-02-03T00:00:00Z")
    return result, standing, alone


def pay(standing: StandingInvoices, name: str, reference: str, amount: str) -> Invoice:
    newest = standing.invoice("air", name)
    assert newest is not None
    following = with_payment(newest, NewPayment(reference, Decimal(amount), 0, "me"))
    assert following is not None
    assert standing.apply(replace(following, claim_id=reference))
    return following


def due(standing: StandingInvoices, name: str) -> tuple[str, str]:
    invoice = standing.invoice("air", name)
    assert invoice is not None
    return invoice.state, str(amount_due(invoice.state, Decimal(invoice.total), body_of(invoice)))


def balance(standing: StandingInvoices) -> int:
    """As a close does; how many versions were written."""
    written = 0
    while value := list(counterparts(standing.invoices("air"), 5)) or draws(standing.invoices("air"), 5):
        for item in value:
            assert standing.apply(item)
        written += len(value)
        assert written < 50
    return written


def test_an_invoice_of_nothing_is_paid_at_once_and_told_as_finalized() -> None:
    (opening, january) = close(catalog(end="2024-02-01T00:00:00Z"), StandingInvoices(), "2024-03-01T00:00:00Z")
    assert [(item.total, item.state) for item in (opening, january)] == [("30.00", "finalized"), ("0.00", "paid")]
    assert event_of(None, "paid") == event_of("draft", "paid") == "invoice.finalized"
    assert voided([opening, january], january, "wrong", "me", 0) is not None


def test_an_invoice_below_zero_is_paid_back_in_parts_and_never_beyond() -> None:
    _, standing, alone = ended()
    name = alone.invoice_id
    assert (alone.total, due(standing, name)) == ("-30.00", ("finalized", "-30.00"))
    pay(standing, name, "a", "-10")
    assert due(standing, name) == ("finalized", "-20.00")
    for wrong in ("-20.01", "0", "10.01"):
        with pytest.raises(ChangeRefused):
            pay(standing, name, f"w{wrong}", wrong)
    pay(standing, name, "b", "10")  # the transfer came back
    assert pay(standing, name, "c", "-30").state == "paid"
    assert due(standing, name) == ("paid", "0.00")
    with pytest.raises(ChangeRefused, match=r"is a credit of 30.00 USD itself; pay it back"):
        with_credit_note(alone, NewCreditNote("n", Decimal(1), "r", "me", 0))


def test_the_accounts_next_invoice_draws_on_it() -> None:
    result, standing, alone = ended()
    for item in standing.chain("air", "s")[:2]:
        pay(standing, item.invoice_id, "bank", "30")
    result.add("subscription", BASE | {"code": "t", "plan": "arrears", "start": "2024-03-01T00:00:00Z"})
    march, april = close(result, standing, "2024-05-01T00:00:00Z")
    assert balance(standing) == 2
    assert due(standing, alone.invoice_id) == ("paid", "0.00")
    assert due(standing, march.invoice_id) == ("paid", "0.00")
    assert due(standing, april.invoice_id) == ("finalized", "30.00")
    paid = standing.invoice("air", march.invoice_id)
    assert paid is not None
    assert [(payment["amount"], payment["invoice"]) for payment in body_of(paid).payments] == [
        ("30.00", alone.invoice_id)
    ]
    assert balance(standing) == 0


def test_an_open_invoice_that_it_credits_is_paid_by_it_first() -> None:
    _, standing, alone = ended()
    opening, january, _ = standing.chain("air", "s")
    assert balance(standing) == 2
    assert due(standing, january.invoice_id) == due(standing, alone.invoice_id) == ("paid", "0.00")
    assert due(standing, opening.invoice_id) == ("finalized", "30.00")


def test_it_is_paid_back_or_drawn_on_and_never_both() -> None:
    _, standing, alone = ended()
    (stale,) = draws(standing.invoices("air"), 5)
    pay(standing, alone.invoice_id, "bank", "-30")
    assert not standing.apply(stale)
    assert balance(standing) == 0


def test_a_close_that_died_between_the_two_is_made_up_for() -> None:
    for meanwhile in (None, "pay", "void"):
        _, standing, alone = ended()
        (_, january, _) = standing.chain("air", "s")
        (draw,) = draws(standing.invoices("air"), 5)
        assert standing.apply(draw)
        if meanwhile == "pay":
            pay(standing, january.invoice_id, "bank", "30")
        balance(standing)
        assert due(standing, january.invoice_id)[1] == "0.00"
        assert due(standing, alone.invoice_id)[1] == ("-30.00" if meanwhile == "pay" else "0.00")


def test_voiding_the_invoice_that_it_paid_gives_the_balance_back() -> None:
    result, standing, alone = ended()
    for item in standing.chain("air", "s")[:2]:
        pay(standing, item.invoice_id, "bank", "30")
    result.add(
        "subscription",
        BASE | {"code": "t", "plan": "arrears", "start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"},
    )
    (march,) = close(result, standing, "2024-04-01T00:00:00Z")
    balance(standing)
    newest, credit = standing.invoice("air", march.invoice_id), standing.invoice("air", alone.invoice_id)
    assert newest is not None
    assert credit is not None
    with pytest.raises(ChangeRefused, match=f"has paid {march.invoice_id} from its balance"):
        voided(standing.chain("air", "s"), credit, "wrong", "me", 0)
    void = voided(standing.chain("air", "t"), newest, "wrong", "me", 0)
    assert void is not None
    assert standing.apply(replace(void, claim_id="void"))
    balance(standing)
    assert due(standing, alone.invoice_id) == ("finalized", "-30.00")
    (repeated_close,) = close(result, standing, "2024-04-02T00:00:00Z")
    balance(standing)
    assert due(standing, repeated_close.invoice_id) == due(standing, alone.invoice_id) == ("paid", "0.00")


def test_prepaid_credit_that_paid_for_what_is_credited_comes_back_to_its_grant() -> None:
    result, standing, alone = ended(GRANT)
    _, january, _ = standing.chain("air", "s")
    assert [(line.kind, line.charge, line.amount, line.adjusts) for line in alone.lines] == [
        ("adjustment", "seat", "-30.00", january.invoice_id), ("credit", "credit:gift", "30.00", january.invoice_id),
    ]  # fmt: skip
    assert (alone.total, alone.state, json.loads(alone.body)["subtotal"]) == ("0.00", "paid", "-30.00")
    assert drawn(standing.invoices("air")) == {"gift": Decimal(30)}  # January's seat alone
    assert verified(standing.invoices("air"), result.catalog) == []


def test_what_was_paid_in_money_comes_back_in_money_first() -> None:
    """Of 30 the grant paid 20 and the customer 10; half of it is credited."""
    result, standing = catalog(GRANT | {"amount": "50"}), StandingInvoices()
    close(result, standing, "2024-02-01T00:00:00Z")
    result.add("subscription", BASE | {"end": "2024-02-15T12:00:00Z"})
    (february,) = close(result, standing, "2024-02-16T00:00:00Z")
    assert [(line.charge, line.amount) for line in february.lines] == [
        ("seat", "-15.00"),
        ("credit:gift", "5.00"),
    ]
    assert february.total == "-10.00"
    assert drawn(standing.invoices("air")) == {"gift": Decimal(45)}


def test_an_invoice_below_zero_gives_back_only_of_what_it_credits_itself() -> None:
    """What an earlier invoice credited lowered what that one drew; the money paid for another invoice is paid back as
    money."""
    credited = [("paid_in_money", Decimal("-56.60"))]
    drawn = [DrawnOn("by_a_grant", Decimal("296.13"), (("credit:gift", Decimal(300)),))]
    assert to_give_back(Decimal("-41.15"), drawn, credited) == []
    further_items = [*credited, ("by_a_grant", Decimal("-2.00"))]
    assert to_give_back(Decimal("-43.15"), drawn, further_items) == [("by_a_grant", "credit:gift", Decimal("2.00"))]


def test_verification_asks_for_both_payments_of_a_draw() -> None:
    _, standing, alone = ended()
    (first_draws,) = draws(standing.invoices("air"), 5)
    assert standing.apply(first_draws)
    (fault,) = verified(standing.invoices("air"))
    assert (
        f"payments with {standing.chain('air', 's')[1].invoice_id}: expected 30 on the other, or back, found 0" in fault
    )
    assert "`weir close`" in fault
    assert balance(standing) == 1  # the remedy
    assert verified(standing.invoices("air")) == []
    invoices = [alone if invoice.total.startswith("-") else invoice for invoice in standing.invoices("air")]
    (fault,) = verified(invoices)
    assert "expected a payment by that one, found 30 alone" in fault
