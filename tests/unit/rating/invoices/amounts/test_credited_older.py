"""Invoices of releases whose discounts were not of periods come to no less than their credit notes credited, either."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from rating.invoices.transitions import ChangeRefused
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.invoices.amounts.test_credited_in_all import HALF, agree, as_before, billed, books, checked
from tests.unit.rating.invoices.amounts.test_line_balances import credit
from tests.unit.rating.invoicing.builders import FEBRUARY, JANUARY, MARCH, Books, used
from tests.unit.rating.verify.builders import verified

MORE = {"code": "more", "percent": "50"}


def of_before(invoice: Invoice, *discounts: tuple[str, str]) -> Invoice:
    """As an older release wrote it: each discount (charge, amount) once, off all that the invoice bills."""
    body = json.loads(invoice.body)
    pinned = body.get("terms") or body.get("terms_ahead")
    body = {
        name: value for name, value in body.items() if name not in ("terms", "terms_ahead", "terms_of", "after_note")
    }
    lines = [line for line in invoice.lines if ":" not in line.charge]
    span = {"period_start": invoice.period_start, "period_end": invoice.period_end}
    lines += [replace(lines[0], **span, kind="discount", charge=key, product="", amount=off) for key, off in discounts]
    total = f"{sum(Decimal(line.amount) for line in lines):.2f}"
    body |= {"terms": pinned, "subtotal": total}
    numbered = tuple(replace(line, number=number) for number, line in enumerate(lines, 1))
    return replace(invoice, body=json.dumps(body), lines=numbered, total=total)


def lump() -> tuple[Books, Invoice]:
    """January's fee of 30 at half price, as an older release billed it at the start; and 4 calls."""
    account_books, new = books(used(20, 4), discounts=[HALF]), books(discounts=[HALF])
    (start,) = new.close(JANUARY)
    account_books.closes += 1
    start = of_before(start, ("discount:half", "-15.00"))
    assert account_books.standing.apply(start)
    return account_books, start


def test_a_discount_agreed_later_takes_nothing_off_a_fee_of_before_that_was_credited() -> None:
    account_books, start = lump()
    credit(account_books.standing, start, "15")
    agree(account_books, discounts=[HALF, MORE], end="2026-02-01")
    (january,) = account_books.close(FEBRUARY)
    # A quarter of 34 is left, 7.50 of it of the fee, of which 15.00 were credited.
    assert billed(january) == [
        ("c", "4.00"), ("discount:half", "-2.00"), ("discount:more", "-8.50"), ("credit_note:", "7.50"),
    ]  # fmt: skip
    assert checked(account_books) == []
    chain = account_books.standing.chain("air", "s")
    (fault,) = verified([chain[0], as_before(january)])
    assert "expected 7.5, found 0" in fault


def test_a_note_of_a_fee_of_before_gives_what_a_discount_agreed_later_left_of_it() -> None:
    account_books, start = lump()
    agree(account_books, discounts=[HALF, MORE], end="2026-02-01")
    account_books.close(FEBRUARY)
    with pytest.raises(ChangeRefused, match=r"of which 7\.50 are not credited"):
        credit(account_books.standing, start, "15")
    credit(account_books.standing, start, "7.50")
    assert checked(account_books) == []


@pytest.mark.parametrize(("note", "taken_back"), [("30", "15.00"), ("20", "5.00"), ("15", None)])
def test_where_late_usage_brings_the_discount_of_before_onto_a_credited_fee_it_is_taken_back(
    note: str, taken_back: str | None
) -> None:
    """The older release took the discount, agreed after the fee was billed, off the calls alone; what adjusts it now
    takes it off all of the period, the fee included."""
    account_books = books(used(20, 4), used(21, 10, close=3))
    (start,) = account_books.close(JANUARY)
    new = books(used(20, 4))
    new.close(JANUARY)
    for of in (account_books, new):
        agree(of, discounts=[HALF], end="2026-02-01")
    (january,) = new.close(FEBRUARY)
    account_books.closes += 1
    january = of_before(january, ("discount:half", "-2.00"))
    assert account_books.standing.apply(january)
    credit(account_books.standing, start, note)
    (late,) = account_books.close(MARCH)
    assert billed(late) == [
        ("c", "10.00"), ("discount:half", "-20.00"), *([("credit_note:", taken_back)] if taken_back else []),
    ]  # fmt: skip
    (fault,) = checked(account_books)  # the older release's own
    assert f"{january.invoice_id} of air acme" in fault
    assert "expected -17, found -2" in fault
