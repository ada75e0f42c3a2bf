"""An invoice as a whole comes to no less than its credit notes credited: discounts agreed after a note, and usage that
falls after it, step by step."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, voided
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.invoices import draft_builders
from tests.unit.rating.invoices.amounts.test_line_balances import credit
from tests.unit.rating.invoicing.builders import APRIL, FEBRUARY, JANUARY, MARCH, SUBSCRIPTION, Books, catalog, used
from tests.unit.rating.verify.builders import verified

CALLS = {"model": "per_unit", "unit_amount": "1"}
FEE = {"product": "fee", "price": {"model": "flat", "amount": "30"}, "in_advance": True}
HALF = {"code": "half", "percent": "50"}


def books(*events: Any, **subscription: Any) -> Books:
    """A fee of 30 in advance and calls at 1."""
    shelf = catalog(CALLS, more=[FEE])
    shelf.add("subscription", SUBSCRIPTION | subscription)
    return Books(shelf, events)


def agree(account_books: Books, **subscription: Any) -> None:
    account_books.shelf.add("subscription", SUBSCRIPTION | subscription, published="2026-01-12T00:00:00Z")


def billed(invoice: Invoice) -> list[tuple[str, str]]:
    return [(line.charge, line.amount) for line in invoice.lines]


def checked(account_books: Books) -> list[str]:
    return verified(account_books.standing.chain("air", "s"), account_books.shelf.catalog)


@pytest.mark.parametrize(
    ("discount", "expected"),
    [
        (HALF, [("c", "4.00"), ("discount:half", "-17.00"), ("credit_note:", "15.00")]),
        ({"code": "half", "amount": "25"}, [("c", "4.00"), ("discount:half", "-25.00"), ("credit_note:", "21.00")]),
    ],
)
@pytest.mark.parametrize("line", [None, 1])
def test_a_discount_agreed_later_takes_nothing_off_a_fee_that_was_credited(
    discount: dict[str, Any], expected: list[tuple[str, str]], line: int | None
) -> None:
    account_books = books(used(20, 4))
    (start,) = account_books.close(JANUARY)
    credit(account_books.standing, start, "30", line)
    agree(account_books, discounts=[discount], end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    assert billed(january) == expected
    assert january.lines[-1].adjusts == start.invoice_id
    assert checked(account_books) == []


@pytest.mark.parametrize(
    ("discount", "left"),
    [
        ({"code": "d", "percent": "50"}, "2.00"),
        ({"code": "d", "percent": "10"}, "3.60"),
        ({"code": "d", "percent": "50", "product": "fee"}, "4.00"),
    ],
)
@pytest.mark.parametrize("goes_on", [False, True])
def test_usage_beside_a_credited_fee_can_be_credited_but_for_its_own_discount(
    discount: dict[str, Any], left: str, goes_on: bool
) -> None:
    """The discount line is off the fee as well, which the note before credited: that part is not the usage's."""
    account_books = books(used(20, 4))
    (start,) = account_books.close(JANUARY)
    credit(account_books.standing, start, "30")
    agree(account_books, discounts=[discount], **({} if goes_on else {"end": "2026-02-01"}))
    (january,) = account_books.close(FEBRUARY)
    further = Decimal(0)  # of February's fee
    if goes_on:
        further = Decimal(30) * (1 - Decimal(discount["percent"]) / 100)
    limit = Decimal(left) + further
    with pytest.raises(ChangeRefused, match=f"of which {limit:.2f} are not credited"):
        credit(account_books.standing, january, str(limit + 1))
    credit(account_books.standing, january, str(limit))
    assert checked(account_books) == []


def test_of_a_fee_credited_in_part_the_discount_takes_what_is_left() -> None:
    account_books = books(used(20, 4))
    (start,) = account_books.close(JANUARY)
    credit(account_books.standing, start, "20")
    agree(account_books, discounts=[HALF], end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)  # 10.00 of the fee are left, and 15.00 the discount
    assert billed(january)[1:] == [("discount:half", "-17.00"), ("credit_note:", "5.00")]
    assert checked(account_books) == []


def test_a_note_after_the_discount_gives_what_the_discount_left_of_the_fee() -> None:
    account_books = books(used(20, 4))
    (start,) = account_books.close(JANUARY)
    agree(account_books, discounts=[HALF], end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    assert january.total == "-13.00"
    with pytest.raises(ChangeRefused, match=r"of which 15\.00 are not credited"):
        credit(account_books.standing, start, "30")
    credit(account_books.standing, start, "15")
    assert checked(account_books) == []


def test_where_late_usage_moves_a_discount_onto_a_credited_fee_and_back_it_is_taken_back_and_returned() -> None:
    """25 off: off 40 calls; then off 10 of them and 15 of the fee; then off 20 and 5."""
    account_books = books(used(20, 10), used(21, 30), used(22, -30, close=3), used(23, 10, close=4))
    account_books.shelf.add("subscription", SUBSCRIPTION | {"end": "2026-02-01"})
    (start,) = account_books.close(JANUARY)
    credit(account_books.standing, start, "30")
    agree(account_books, discounts=[{"code": "d", "amount": "25"}], end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    assert billed(january) == [("c", "40.00"), ("discount:d", "-25.00")]
    (less,) = account_books.close(MARCH)
    assert billed(less) == [("c", "-30.00"), ("credit_note:", "15.00")]
    (more,) = account_books.close(APRIL)
    assert billed(more) == [("c", "10.00"), ("credit_note:", "-10.00")]
    assert checked(account_books) == []


def test_what_is_taken_back_of_a_credited_fee_changes_no_true_up() -> None:
    """As in history 83, by hand. January owes 100.00, the commitment, whatever is used. Of the fee of 28.13 and calls
    of 13.97 the 33 % are 13.89, of which 4.61 are off the calls, so 9.28 off the fee: it comes to 18.85, which is
    credited. Of calls of 13.31 they are 13.68, of which 4.39 are off the calls: 9.29 are off the fee, which comes to
    18.84, so that 0.01 is taken back. February's true-up is 100.00 less its fee of 28.13."""
    fee = {"product": "fee", "price": {"model": "flat", "amount": "28.13"}, "in_advance": True}
    shelf = catalog(CALLS, more=[fee])
    terms = {"discounts": [{"code": "third", "percent": "33", "periods": 1}], "minimum_commitment": "100"}
    shelf.add("subscription", SUBSCRIPTION | terms)
    account_books = Books(shelf, [used(20, "13.97"), used(21, "-0.66", close=3)])
    (start,) = account_books.close(JANUARY)
    assert start.total == "18.85"
    credit(account_books.standing, start, "18.85")
    (january,) = account_books.close(FEBRUARY)
    true_up = ("commitment:", "71.79")
    assert billed(january) == [("c", "13.97"), ("fee", "28.13"), ("discount:third", "-4.61"), true_up]
    (february,) = account_books.close(MARCH)
    assert billed(february) == [
        ("c", "0.00"), ("fee", "28.13"), ("commitment:", "71.87"),
        ("c", "-0.66"), ("commitment:", "0.45"), ("discount:third", "0.21"), ("credit_note:", "0.01"),
    ]  # fmt: skip
    assert checked(account_books) == []


def test_usage_that_falls_beneath_a_note_on_a_line_without_balance_leaves_nothing_to_pay_back() -> None:
    """As in history 87: a discount had taken the fee off, and the note on it was of what the invoice came to."""
    free = {"discounts": [{"code": "free", "amount": "30", "product": "fee"}]}
    shelf = catalog(CALLS, more=[{**FEE, "in_advance": False}])
    shelf.add("subscription", SUBSCRIPTION | free | {"end": "2026-02-01"})
    account_books = Books(shelf, [used(20, 8), used(21, -8, close=2), used(22, 6, close=3)])
    (january,) = account_books.close(FEBRUARY)
    assert january.total == "8.00"
    credit(account_books.standing, january, "5", next(line.number for line in january.lines if line.charge == "fee"))
    (less,) = account_books.close(MARCH)
    assert billed(less) == [("c", "-8.00"), ("credit_note:", "5.00")]  # 8.00 billed, 5.00 and 3.00 credited
    (more,) = account_books.close(APRIL)
    assert billed(more) == [("c", "6.00"), ("credit_note:", "-5.00")]
    assert checked(account_books) == []


def test_a_note_without_lines_is_spread_over_what_their_discounts_left_of_them() -> None:
    """Of 40 calls and a fee of 30, 10 off, half is credited: 20 of the calls and 10 of the fee. So of calls that are
    taken back 20 are left to credit."""
    off_the_fee = {"discounts": [{"code": "d", "amount": "10", "product": "fee"}], "end": "2026-02-01"}
    shelf = catalog(CALLS, more=[{**FEE, "in_advance": False}])
    shelf.add("subscription", SUBSCRIPTION | off_the_fee)
    account_books = Books(shelf, [used(20, 40), used(21, -40, close=2)])
    (january,) = account_books.close(FEBRUARY)
    assert january.total == "60.00"
    credit(account_books.standing, january, "30")
    noted = account_books.standing.invoice("air", january.invoice_id)
    assert noted is not None
    (note,) = body_of(noted).credit_notes
    of_charge = {line.number: line.charge for line in january.lines}
    assert {of_charge[part["line"]]: part["amount"] for part in note["spread"]} == {"c": "20.00", "fee": "10.00"}
    (less,) = account_books.close(MARCH)
    assert billed(less) == [("c", "-40.00"), ("credit_note:c", "20.00")]
    credit(account_books.standing, january, "10")  # what is left of the fee
    assert checked(account_books) == []


def test_the_note_of_a_fee_whose_settlement_a_true_up_made_good_returns_what_a_grant_paid_of_that() -> None:
    """As in history 355: what the end takes off the fee, the true-up to the commitment adds, and a grant paid both."""
    terms = {"discounts": [HALF], "minimum_commitment": "60"}
    account_books = books(**terms)
    account_books.shelf.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": "400"})
    (start,) = account_books.close(JANUARY)
    agree(account_books, **terms, end="2026-01-17")
    (january,) = account_books.close(FEBRUARY)
    assert (start.total, january.total) == ("0.00", "0.00")
    credit(account_books.standing, start, "15")
    noted = account_books.standing.invoice("air", start.invoice_id)
    assert noted is not None
    (note,) = body_of(noted).credit_notes
    assert note["amount"] == "0.00"
    assert sum(Decimal(part["amount"]) for part in note["prepaid"]) == 15
    assert checked(account_books) == []


def test_a_grant_does_not_pay_again_what_a_later_invoice_has_credited_in_money() -> None:
    """10.00 came late and 6.00 of them were taken back, both in money; the first of the two is voided, and billed again
    when there is a grant: it pays the 4.00 that are left, and no money comes out of it."""
    account_books = books(used(20, 4), used(21, 10, close=3), used(22, -6, close=4), end="2026-02-01")
    account_books.close(JANUARY)
    account_books.close(FEBRUARY)
    (more,) = account_books.close(MARCH)
    (less,) = account_books.close(APRIL)
    assert (more.total, less.total) == ("10.00", "-6.00")
    void = voided(account_books.standing.chain("air", "s"), more, "wrong address", "me", 0)
    assert void is not None
    assert account_books.standing.apply(void)
    account_books.shelf.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": "50"})
    account_books.events.append(used(23, 0, close=5))
    (again,) = account_books.close(APRIL)
    assert billed(again) == [("c", "10.00"), ("credit:g", "-4.00")]
    assert checked(account_books) == []


def test_verification_tells_what_a_discount_takes_off_a_credited_fee_again() -> None:
    account_books = books(used(20, 4))
    (start,) = account_books.close(JANUARY)
    credit(account_books.standing, start, "30")
    agree(account_books, discounts=[HALF], end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    chain = [item for item in account_books.standing.chain("air", "s") if item is not january]
    (fault,) = verified([*chain, as_before(january)])
    assert f"{january.invoice_id} of air acme 2026-01-01T00:00:00Z, credit_note: taken back of credit notes of" in fault
    assert "expected 15, found 0" in fault


def as_before(invoice: Invoice) -> Invoice:
    """The invoice of a release that took nothing back of an invoice as a whole."""
    lines = tuple(line for line in invoice.lines if line.charge != "credit_note:")
    total = str(sum(Decimal(line.amount) for line in lines))
    body = json.dumps(json.loads(invoice.body) | {"subtotal": total})
    return replace(invoice, lines=lines, total=total, body=body)


def test_a_draft_whose_discount_is_of_a_fee_credited_since_is_refreshed_before_it_is_approved() -> None:
    shelf, standing = draft_builders.catalog(), StandingInvoices()
    charge = {"product": "support", "price": {"model": "flat", "amount": "30"}, "in_advance": True}
    shelf.add("plan", draft_builders.basic_plan("required", grace=0) | {"charges": [charge]})
    subscription = draft_builders.SUBSCRIPTION | {"code": "u", "plan_version": 2}
    shelf.add("subscription", subscription)
    start_of_u = draft_builders.of(draft_builders.drafts(shelf, standing, "2024-01-01T00:00:00Z"), "u")
    (draft,) = draft_builders.applied(standing, start_of_u)
    (start,) = draft_builders.applied(standing, [draft_builders.approve(shelf, standing, draft, 1) or draft])
    half = subscription | {"discounts": [HALF], "end": "2024-02-01"}
    shelf.add("subscription", half, published="2024-01-12T00:00:00Z")
    at = "2024-02-01T00:00:00Z"
    (draft,) = draft_builders.applied(standing, draft_builders.of(draft_builders.drafts(shelf, standing, at), "u"))
    assert billed(draft) == [("discount:half", "-15.00")]
    credit(standing, start, "30", of="u")
    with pytest.raises(ChangeRefused, match="has other credit notes than it was made with"):
        draft_builders.approve(shelf, standing, draft, 1)
    again = draft_builders.of(draft_builders.drafts(shelf, standing, at, "again", 2), "u")
    (draft,) = draft_builders.applied(standing, again)
    assert billed(draft) == [("discount:half", "-15.00"), ("credit_note:", "15.00")]
    draft_builders.applied(standing, [draft_builders.approve(shelf, standing, draft, draft.version) or draft])
    assert verified(standing.chain("air", "u")) == []
