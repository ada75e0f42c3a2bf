"""What corrections of lines give back to grants that pay some products alone, by hand."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from rating.invoices.ledger import StandingInvoices
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.invoices.amounts.test_credited_in_all import CALLS, billed
from tests.unit.rating.invoices.amounts.test_line_balances import credit
from tests.unit.rating.invoicing.builders import APRIL, FEBRUARY, MARCH, SUBSCRIPTION, Books, catalog, used
from tests.unit.rating.verify.builders import verified

FEE = {"product": "fee", "price": {"model": "flat", "amount": "20"}}


def books(*events: tuple[float, int, int], amount: str = "200", **terms: object) -> Books:
    """Calls at 1.00, (day, quantity, close before which it comes), and a fee of 20.00; a grant for calls."""
    shelf = catalog(CALLS, more=[FEE])
    shelf.add("subscription", SUBSCRIPTION | terms)
    grant = {"code": "g", "account": "acme", "currency": "USD", "amount": amount, "products": ["c"]}
    shelf.add("credit_grant", grant)
    return Books(shelf, [used(day, quantity, close=close) for day, quantity, close in events])


def checked(account_books: Books, *invoices: Invoice) -> list[str]:
    chain = account_books.standing.chain("air", "s")
    others = [item for item in chain if item.invoice_id not in {invoice.invoice_id for invoice in invoices}]
    return verified([*others, *invoices], account_books.shelf.catalog)


def of_line(invoice: Invoice, charge: str) -> int:
    return next(line.number for line in invoice.lines if line.charge == charge)


def test_calls_taken_back_come_back_to_the_grant_that_paid_them_beside_a_fee_that_is_paid_in_money() -> None:
    """30 calls, 12 of which are taken back, and 5 in February: of the grant's 30.00 the 5.00 pay those, and 7.00 come
    back, though February asks for its fee. The grant paid 18.00 and 5.00, money two fees."""
    account_books = books((5, 30, 0), (6, -12, 2), (40, 5, 0))
    (january,) = account_books.close(FEBRUARY)
    assert (billed(january)[-1], january.total) == (("credit:g", "-30.00"), "20.00")
    (february,) = account_books.close(MARCH)
    lines = [("fee", "20.00"), ("c", "5.00"), ("c", "-12.00"), ("credit:g", "7.00")]
    assert (sorted(billed(february)), february.total) == (sorted(lines), "20.00")
    assert json.loads(february.lines[-1].price) == {"credit_grant": "g", "products": ["c"]}
    assert checked(account_books) == []
    # Verification tells more than the calls that were taken back, and a draw that is beyond what is due.
    more = replace(february.lines[-1], amount="7.50")
    (finding, *_) = checked(account_books, replace(february, lines=(*february.lines[:-1], more)))
    assert "credits given back for c: expected at most 7, what it credits of them, found 7.5" in finding


def test_what_the_grant_had_not_paid_of_the_calls_comes_back_in_money_first() -> None:
    """Of 30 calls 25.00 are paid by the grant and 5.00 in money; of 12 that are taken back 5.00 are in money."""
    account_books = books((5, 30, 0), (6, -12, 2), amount="25", end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    assert january.total == "25.00"
    (correction,) = account_books.close(MARCH)
    assert (billed(correction), correction.total) == ([("c", "-12.00"), ("credit:g", "7.00")], "-5.00")
    assert checked(account_books) == []


def test_a_discount_on_the_whole_is_shared_by_what_comes_back() -> None:
    """10 % off 30 calls and the fee: the grant pays 27.00. 12 calls less are 10.80 less, all of it the grant's."""
    account_books = books((5, 30, 0), (6, -12, 2), end="2026-02-01", discounts=[{"code": "ten", "percent": "10"}])
    (january,) = account_books.close(FEBRUARY)
    assert (billed(january)[-1], january.total) == (("credit:g", "-27.00"), "18.00")
    (correction,) = account_books.close(MARCH)
    assert (billed(correction)[-1], correction.total) == (("credit:g", "10.80"), "0.00")
    assert checked(account_books) == []


def test_a_true_up_that_makes_calls_good_is_paid_in_money() -> None:
    """A commitment of 50.00 is met; 12 calls less raise its true-up by as much, and that is no call."""
    account_books = books((5, 30, 0), (6, -12, 2), end="2026-02-01", minimum_commitment="50")
    account_books.close(FEBRUARY)
    (correction,) = account_books.close(MARCH)
    assert billed(correction) == [("c", "-12.00"), ("commitment:", "12.00"), ("credit:g", "12.00")]
    assert correction.total == "12.00"
    assert checked(account_books) == []


@pytest.mark.parametrize(("charge", "money", "prepaid"), [("c", "0.00", ["5.00"]), ("fee", "5.00", [])])
def test_a_credit_note_of_a_line_gives_back_to_the_grants_of_its_product(
    charge: str, money: str, prepaid: list[str]
) -> None:
    account_books = books((5, 30, 0), end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    credit(account_books.standing, january, "5", of_line(january, charge))
    noted = account_books.standing.invoice("air", january.invoice_id)
    assert noted is not None
    (note,) = body_of(noted).credit_notes
    assert (note["amount"], [part["amount"] for part in note.get("prepaid", ())]) == (money, prepaid)
    # The other calls are taken back later: 25.00 of them are not credited yet, and the grant paid these.
    account_books.events.append(used(7, -30, close=2))
    (correction,) = account_books.close(MARCH)
    back = sum(Decimal(line.amount) for line in correction.lines if line.kind == "credit")
    assert (back, correction.total) == ((25, "0.00") if charge == "c" else (30, "0.00"))
    assert checked(account_books) == []


def test_a_correction_that_an_older_release_paid_back_in_money_is_not_given_back_again() -> None:
    """It gave 12.00 of 30 calls in money, which a grant had paid; what is taken back since is the grant's."""
    account_books = books((5, 30, 0), (6, -12, 2), (7, -1, 3), end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    (correction,) = account_books.close(MARCH)
    older = tuple(line for line in correction.lines if line.kind != "credit")
    account_books.standing = StandingInvoices()
    for invoice in (january, replace(correction, lines=older, total="-12.00", state="finalized")):
        assert account_books.standing.apply(invoice)
    (last,) = account_books.close(APRIL)
    assert (billed(last), last.total) == ([("c", "-1.00"), ("credit:g", "1.00")], "0.00")
