"""One balance for each line: credit notes, settlements of fees in advance, and late usage credit it once. The case of
fees, closed step by step."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.amounts.line_balances import credited_by_line, credits_of_chain, nothing_further, taken_back
from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, voided
from schemas.ledgers.invoice_record import Invoice, Line, body_of
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import Shelf, invoice_of, line_of
from tests.unit.rating.invoicing import builders
from tests.unit.rating.invoicing.builders import FEBRUARY, MARCH, SUBSCRIPTION, Books, used
from tests.unit.rating.invoicing.builders import catalog as usage_catalog
from tests.unit.rating.verify.builders import verified

BASE = {
    "code": "s",
    "account": "acme",
    "plan": "basic",
    "start": "2024-08-10T00:00:00Z",
    "billing_anchor": "2024-08-10",
}
close = partial(builders.close, dated=True)


def catalog(**subscription: Any) -> Shelf:
    """A seat of 10 in advance on basic, of 31 on pro."""
    shelf = Shelf()
    shelf.add("product", {"code": "seat", "kind": "flat"})
    for code, amount in (("basic", "10"), ("pro", "31")):
        charges = [{"product": "seat", "price": {"model": "flat", "amount": amount}, "in_advance": True}]
        shelf.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE | subscription)
    return shelf


def credit(
    standing: StandingInvoices,
    invoice: Invoice,
    amount: str,
    line: int | None = None,
    *,
    of: str = "s",
    at_us: int | None = None,
) -> None:
    """Write a credit note of an invoice of the subscription ``of``, by default at the latest instant of its chain."""
    lines = () if line is None else (LineCredit(line, Decimal(amount)),)
    full_value = Decimal(amount) if line is None else None
    newest = standing.invoice("air", invoice.invoice_id)
    assert newest is not None
    count = newest.version
    at_us = max(item.as_of for item in standing.chain("air", of)) + 1 if at_us is None else at_us
    note = NewCreditNote(f"c{count}", full_value, "sorry", "me", at_us, lines)
    following = with_credit_note(newest, note, standing.chain("air", of))
    assert following is not None
    assert standing.apply(replace(following, claim_id=f"v{count}"))


@pytest.mark.parametrize("line", [None, 1])
def test_a_fee_credited_in_full_and_then_not_owed_is_credited_no_further(line: int | None) -> None:
    """The fee of 10 Sep to 10 Oct, billed on the invoice that ends on 10 Sep."""
    result, standing = catalog(), StandingInvoices()
    _, august = close(result, standing, "2024-09-10T00:00:00Z")
    assert [(item.amount, rfc3339(item.period_start)[:10]) for item in august.lines] == [("10.00", "2024-09-10")]
    credit(standing, august, "10", line)
    result.add("subscription", BASE | {"end": "2024-09-10T00:00:00Z"})
    assert close(result, standing, "2024-09-12T00:00:00Z") == []
    assert close(result, standing, "2025-09-12T00:00:00Z") == []


def test_a_part_that_was_credited_is_taken_back_from_what_the_settlement_credits() -> None:
    result, standing = catalog(), StandingInvoices()
    _, august = close(result, standing, "2024-09-10T00:00:00Z")
    credit(standing, august, "4", 1)
    result.add("subscription", BASE | {"end": "2024-09-10T00:00:00Z"})
    (last_close,) = close(result, standing, "2024-09-12T00:00:00Z")
    assert [(item.kind, item.charge, item.amount) for item in last_close.lines] == [
        ("adjustment", "seat", "-10.00"), ("adjustment", "credit_note:seat", "4.00"),
    ]  # fmt: skip
    assert last_close.total == "-6.00"
    assert verified(standing.chain("air", "s")) == []
    with pytest.raises(ChangeRefused, match=r"0\.00 of it are not credited"):
        credit(standing, august, "1", 1)
    with pytest.raises(ChangeRefused, match=r"0\.00 are not credited"):
        credit(standing, august, "1")


def test_a_settlement_that_came_first_leaves_so_much_less_to_credit() -> None:
    result, standing = catalog(), StandingInvoices()
    _, august = close(result, standing, "2024-09-10T00:00:00Z")
    result.add("subscription", BASE | {"end": "2024-09-25T00:00:00Z"})
    (last_close,) = close(result, standing, "2024-09-25T00:00:00Z")
    assert last_close.total == "-5.00"
    with pytest.raises(ChangeRefused, match=r"5\.00 of it are not credited"):
        credit(standing, august, "6", 1)
    credit(standing, august, "5", 1)
    assert verified(standing.chain("air", "s")) == []


def test_an_upgrade_after_the_credit_credits_the_old_fee_once() -> None:
    """Half of September's fee was credited in full; the new plan's half is owed."""
    result, standing = catalog(), StandingInvoices()
    _, august = close(result, standing, "2024-09-10T00:00:00Z")
    credit(standing, august, "10")
    result.add("subscription", BASE | {"plan": "pro", "change_at": "2024-09-25T00:00:00Z"})
    (september,) = close(result, standing, "2024-10-10T00:00:00Z")
    assert [(item.charge, item.amount) for item in september.lines] == [
        ("seat", "15.50"), ("seat", "31.00"), ("seat", "-5.00"), ("credit_note:seat", "5.00"),
    ]  # fmt: skip
    assert verified(standing.chain("air", "s")) == []


def test_a_discount_that_falls_with_its_fee_is_no_reason_to_take_back_more() -> None:
    terms = {"discounts": [{"code": "half", "percent": "50"}]}
    result, standing = catalog(**terms), StandingInvoices()
    _, august = close(result, standing, "2024-09-10T00:00:00Z")
    assert august.total == "5.00"
    credit(standing, august, "5")
    result.add("subscription", BASE | terms | {"end": "2024-09-25T00:00:00Z"})
    (last_close,) = close(result, standing, "2024-09-25T00:00:00Z")
    assert last_close.total == "0.00"
    assert verified(standing.chain("air", "s")) == []


def test_verification_finds_what_was_credited_again() -> None:
    """As it was billed before: the settlement credits a fee that a credit note had credited in full."""
    result, standing = catalog(), StandingInvoices()
    _, august = close(result, standing, "2024-09-10T00:00:00Z")
    result.add("subscription", BASE | {"end": "2024-09-10T00:00:00Z"})
    second_invoices = StandingInvoices()
    for item in standing.chain("air", "s"):
        assert second_invoices.apply(item)
    (alone,) = close(result, second_invoices, "2024-09-12T00:00:00Z")
    credit(standing, august, "10")
    assert not standing.apply(alone)  # it names the credit notes that it counted
    assert standing.apply(replace(alone, body=body_of(alone).without("after_note").text()))  # as those of before
    (fault,) = verified(standing.chain("air", "s"))
    assert (
        f"{alone.invoice_id} of air acme 2024-08-10T00:00:00Z, line 1, seat beside credit notes of {august.invoice_id}"
        in fault
    )
    assert "expected 0 in all, found -10" in fault


def line(amount: str, number: int = 1, **extra: Any) -> Line:
    return line_of(number=number, amount=amount, **extra)


def invoice(name: str, *lines: Line, notes: str = "[]") -> Invoice:
    total = sum(Decimal(line.amount) for line in lines)
    body = f'{{"credit_notes": {notes}}}'
    return invoice_of(invoice_id=name, total=str(total), lines=lines, body=body, as_of=int(name[1:] or 0))


@given(
    st.decimals(0, 30, places=2),
    st.decimals(0, 1, places=2),
    st.lists(st.decimals(0, 60, places=2), min_size=1, max_size=5),
)
def test_whatever_late_usage_makes_of_a_line_it_is_credited_once(
    billed: Decimal, share: Decimal, amounts: list[Decimal]
) -> None:
    """What is left of a line is what it comes to, or what the credit note left where that is less; however often it
    changes."""
    note = (billed * share).quantize(Decimal("0.01"))
    chain = [invoice("i0", line(str(billed)), notes=f'[{{"amount": "{note}", "at": "1970-01-01T00:00:00Z"}}]')]
    standing = billed
    for number, amount in enumerate(amounts, 1):
        if amount == standing:
            continue
        change = line(str(amount - standing), kind="adjustment", adjusts="i0")
        accepted_taken_back = taken_back(credits_of_chain(chain, ["i0"]), [change], "USD")
        if nothing_further([change, *accepted_taken_back]):
            continue
        chain.append(invoice(f"i{number}", change, *[replace(item, number=2) for item in accepted_taken_back]))
        standing = amount
    paid = sum(Decimal(item.amount) for result in chain for item in result.lines) - note
    last_amount = amounts[-1]
    assert paid == (last_amount - note if last_amount >= billed else min(last_amount, billed - note))


@given(
    st.lists(st.decimals("0.01", 50, places=2), min_size=1, max_size=6),
    st.lists(st.decimals(0, 1, places=2), max_size=3),
)
def test_a_note_without_lines_is_spread_over_them_and_never_beyond_one(
    amounts: list[Decimal], shares: list[Decimal]
) -> None:
    lines = [line(str(amount), number) for number, amount in enumerate(amounts, 1)]
    left, notes = sum(amounts), []
    for share in shares:
        part = (left * share).quantize(Decimal("0.01"))
        left -= part
        notes.append(f'{{"amount": "{part}"}}')
    result = credited_by_line(invoice("i", *lines, notes=f"[{', '.join(notes)}]"))
    assert sum(result.values()) == sum(amounts) - left
    assert all(0 <= result.get(number, 0) <= amount for number, amount in enumerate(amounts, 1))


def test_a_note_without_lines_credits_of_each_line_what_adjustments_have_left() -> None:
    """Of a fee of 31 an end has left 10: a note over the rest is spread over 15.50 and 10.00, not over the 46.50 that
    were billed."""
    result, standing = catalog(), StandingInvoices()
    _, august = close(result, standing, "2024-09-10T00:00:00Z")
    result.add("subscription", BASE | {"plan": "pro", "change_at": "2024-09-25T00:00:00Z"})
    (september,) = close(result, standing, "2024-10-10T00:00:00Z")
    assert [item.amount for item in september.lines] == ["15.50", "31.00", "-5.00"]
    result.add(
        "subscription", BASE | {"plan": "pro", "end": "2024-10-20T00:00:00Z", "change_at": "2024-09-25T00:00:00Z"}
    )
    (october,) = close(result, standing, "2024-10-20T00:00:00Z")
    assert [item.amount for item in october.lines] == ["-21.00"]
    credit(standing, september, "20.50")  # 41.50 less 21.00
    noted = standing.invoice("air", september.invoice_id)
    assert noted is not None
    assert credited_by_line(noted) == {1: Decimal("12.46"), 2: Decimal("8.04")}  # in proportion to 15.50 and 10.00
    assert verified(standing.chain("air", "s")) == []
    with pytest.raises(ChangeRefused, match=r"a credit note over 6 USD does not fit"):
        credit(standing, august, "6")
    credit(standing, august, "5")


def test_a_plan_that_changes_for_the_whole_of_a_credited_month_is_owed_and_the_old_fee_credited_once() -> None:
    """As the documentation says: 10 credited, then 31 for the same month, is 31 to pay; from the 25th on, half of
    either."""
    for at, expected in (("2024-09-10", ["31.00", "-10.00", "10.00"]), ("2024-09-25", ["15.50", "-5.00", "5.00"])):
        result, standing = catalog(), StandingInvoices()
        _, august = close(result, standing, "2024-09-10T00:00:00Z")
        credit(standing, august, "10")
        moved = {"plan": "pro", "change_at": f"{at}T00:00:00Z", "end": "2024-10-10T00:00:00Z"}
        result.add("subscription", BASE | moved)
        (september,) = close(result, standing, "2024-10-10T00:00:00Z")
        assert [item.amount for item in september.lines] == expected
        assert verified(standing.chain("air", "s")) == []


def test_what_a_credit_note_may_have_credited_is_not_taken_from_under_it_by_a_void() -> None:
    """20 of late usage make a line 30, of which 30 are credited; without the 20 it would be 10."""
    books = Books(usage_catalog({"model": "per_unit", "unit_amount": "1"}), [used(3, 10), used(4, 20, close=2)])
    (january,) = books.close(FEBRUARY)
    (february,) = books.close(MARCH)
    assert february.total == "20.00"
    chain = books.standing.chain("air", "s")
    note = with_credit_note(january, NewCreditNote("n", Decimal(10), "r", "me", MARCH + 1), chain)
    assert note is not None
    assert voided(chain, february, "wrong", "me", 0) is not None
    assert books.standing.apply(replace(note, claim_id="n"))
    with pytest.raises(
        ChangeRefused, match=rf"added to {january.invoice_id}, of which a credit note has credited something"
    ):
        voided(books.standing.chain("air", "s"), february, "wrong", "me", 0)


def test_a_credit_note_on_what_adjusts_an_invoice_and_on_the_invoice_stay_within_both() -> None:
    """10 and 20 of usage at half price: 15 in all, whichever of the two invoices a note names."""
    result = usage_catalog({"model": "per_unit", "unit_amount": "1"})
    result.add("subscription", SUBSCRIPTION | {"discounts": [{"code": "half", "percent": "50"}]})
    books = Books(result, [used(3, 20), used(4, 10, close=2)])
    (january,) = books.close(FEBRUARY)
    (february,) = books.close(MARCH)
    assert (january.total, february.total) == ("10.00", "5.00")
    chain = books.standing.chain("air", "s")
    note = with_credit_note(february, NewCreditNote("a", None, "r", "me", MARCH, (LineCredit(2, Decimal(5)),)), chain)
    assert note is not None
    assert books.standing.apply(replace(note, claim_id="a"))
    chain = books.standing.chain("air", "s")
    with pytest.raises(ChangeRefused, match=r"of which 10\.00 are not credited"):
        with_credit_note(january, NewCreditNote("b", None, "r", "me", MARCH, (LineCredit(1, Decimal("10.01")),)), chain)
    assert with_credit_note(january, NewCreditNote("b", None, "r", "me", MARCH, (LineCredit(1, Decimal(10)),)), chain)
