"""A credit note that is written between what a close, or who approves, has read and what it writes: of an invoice off
whose fees in advance a discount is, though no line names it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.draft_decisions import approved
from rating.invoices.transitions import ChangeRefused, NewPayment, voided, with_payment
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.late.late_records import Late
from rating.invoicing.run_plan import Bills, build_invoices, make_plan
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.builders import us
from tests.unit.rating.invoices.amounts.test_credited_in_all import CALLS, FEE, HALF, agree, billed, books, checked
from tests.unit.rating.invoices.amounts.test_line_balances import credit
from tests.unit.rating.invoices.draft_builders import ME
from tests.unit.rating.invoicing.builders import APRIL, FEBRUARY, JANUARY, MARCH, Books, plan, used

AMOUNT = {"code": "d", "amount": "25"}
LATE = {"s": (Late("m.p", us("2026-01-20T00:00:00Z"), us("2026-01-26T00:00:00Z"), 1),)}


def planned(account_books: Books, as_of_us: int, run: str, bills: Bills = "due", late: Any = None) -> list[Invoice]:
    """What a close or its drafts would write, as of what is there now."""
    result = make_plan(account_books.shelf.view(), account_books.standing, as_of_us, late or {}, bills)
    totals, of_run = account_books.totals(result), Run(run, account_books.closes, 0, as_of_us, {})
    invoices, problems = (
        build_drafts(result, totals, of_run, account_books.standing)
        if bills == "drafts"
        else build_invoices(result, totals, of_run)
    )
    assert (*result.problems, *problems) == ()
    return list(invoices)


@pytest.mark.parametrize(
    ("discount", "lines"),
    [
        (HALF, [("c", "4.00"), ("discount:half", "-17.00"), ("credit_note:", "15.00")]),
        (AMOUNT, [("c", "4.00"), ("discount:d", "-25.00"), ("credit_note:", "21.00")]),
    ],
)
def test_a_close_that_did_not_see_the_note_of_a_fee_that_its_discount_is_off_bills_again(
    discount: dict[str, Any], lines: list[tuple[str, str]]
) -> None:
    account_books = books(used(20, 4))
    (start,) = account_books.close(JANUARY)
    agree(account_books, discounts=[discount], end="2026-02-01")
    (january,) = planned(account_books, FEBRUARY, "first")
    assert billed(january) == lines[:2]
    credit(account_books.standing, start, "30")
    assert not account_books.standing.apply(january)
    (january,) = planned(account_books, FEBRUARY, "again")
    assert billed(january) == lines
    assert account_books.standing.apply(january)
    assert checked(account_books) == []


def test_verification_tells_an_invoice_of_before_that_missed_a_note_at_once() -> None:
    """The note's instant is later than that of the close, and its record says that the invoice was not there yet."""
    account_books = books(used(20, 4))
    (start,) = account_books.close(JANUARY)
    agree(account_books, discounts=[HALF], end="2026-02-01")
    (january,) = planned(account_books, FEBRUARY, "first")
    credit(account_books.standing, start, "30", at_us=FEBRUARY + 1)
    january = replace(january, body=body_of(january).without("after_note").text())
    assert account_books.standing.apply(january)
    (fault,) = checked(account_books)
    assert f"{january.invoice_id} of air acme 2026-01-01T00:00:00Z, credit_note: taken back of credit notes of" in fault
    assert "expected 15, found 0" in fault


@pytest.mark.parametrize("paid", [False, True])
def test_an_invoice_of_before_that_missed_a_note_is_mended_by_voiding_it(paid: bool) -> None:
    """The remedy that verification names, as BILLING.md says it; what was paid is paid back first."""
    account_books = books(used(20, 40))
    (start,) = account_books.close(JANUARY)
    agree(account_books, discounts=[HALF], end="2026-02-01")
    (missed,) = planned(account_books, FEBRUARY, "first")
    credit(account_books.standing, start, "30", at_us=FEBRUARY + 1)
    missed = replace(missed, body=body_of(missed).without("after_note").text())
    assert account_books.standing.apply(missed)
    assert billed(missed) == [("c", "40.00"), ("discount:half", "-35.00")]
    assert len(checked(account_books)) == 1
    if paid:
        for reference, amount in (("p", "5"), ("p back", "-5")):
            chain = account_books.standing.chain("air", "s")
            if reference == "p back":
                with pytest.raises(ChangeRefused, match="payments"):
                    voided(chain, chain[-1], "missed a note", "me", 0)
            payment = with_payment(chain[-1], NewPayment(reference, Decimal(amount), 0, "me"))
            assert payment is not None
            assert account_books.standing.apply(payment)
    chain = account_books.standing.chain("air", "s")
    void = voided(chain, chain[-1], "missed a note", "me", 0)
    assert void is not None
    assert account_books.standing.apply(void)
    (january,) = account_books.close(FEBRUARY)
    assert billed(january) == [("c", "40.00"), ("discount:half", "-35.00"), ("credit_note:", "15.00")]
    assert checked(account_books) == []


def test_a_note_of_a_fee_whose_discount_was_agreed_before_disturbs_no_close() -> None:
    account_books = books(used(20, 4), discounts=[HALF], end="2026-02-01")
    (start,) = account_books.close(JANUARY)
    (january,) = planned(account_books, FEBRUARY, "first")
    credit(account_books.standing, start, "15")
    assert body_of(january).after_note is None
    assert account_books.standing.apply(january)
    assert billed(january) == [("c", "4.00"), ("discount:half", "-2.00")]
    assert checked(account_books) == []


def adjusting_draft() -> tuple[Books, Invoice, Invoice]:
    """Of 40 calls 30 are taken back after January was billed: 25 off calls become 10 off calls and 15 off the fee."""
    account_books = books(used(20, 10), used(21, 30), used(22, -30, close=3))
    (start,) = account_books.close(JANUARY)
    agree(account_books, discounts=[AMOUNT], end="2026-02-01")
    account_books.close(FEBRUARY)
    account_books.shelf.add("plan", plan(CALLS, more=[FEE]) | {"approval": "required"})
    agree(account_books, discounts=[AMOUNT], end="2026-02-01", plan_version=2)
    account_books.closes += 1
    (draft,) = planned(account_books, MARCH, "first", "drafts", LATE)
    assert billed(draft) == [("c", "-30.00")]
    assert account_books.standing.apply(draft)
    return account_books, start, draft


def test_a_draft_of_adjustments_alone_is_refreshed_after_a_note_of_the_fee_that_their_discount_is_off() -> None:
    account_books, start, draft = adjusting_draft()
    credit(account_books.standing, start, "30")
    chain = account_books.standing.chain("air", "s")
    with pytest.raises(ChangeRefused, match=f"invoice {start.invoice_id}, which draft .* has other credit notes"):
        approved(chain, draft, draft.version, ME, [])
    (draft,) = planned(account_books, MARCH, "again", "drafts", LATE)
    assert billed(draft) == [("c", "-30.00"), ("credit_note:", "15.00")]
    assert account_books.standing.apply(draft)
    assert planned(account_books, MARCH, "once more", "drafts", LATE) == []
    invoice = approved(chain, draft, draft.version, ME, [])
    assert invoice is not None
    assert account_books.standing.apply(invoice)
    assert checked(account_books) == []


def test_a_note_that_comes_while_a_draft_is_approved_makes_the_approval_void() -> None:
    account_books = books(used(20, 4))
    account_books.shelf.add("plan", plan(CALLS, more=[FEE]) | {"approval": "required"})
    (start,) = account_books.close(JANUARY)
    agree(account_books, discounts=[HALF], end="2026-02-01", plan_version=2)
    account_books.closes += 1
    (draft,) = planned(account_books, FEBRUARY, "first", "drafts")
    assert account_books.standing.apply(draft)
    invoice = approved(account_books.standing.chain("air", "s"), draft, draft.version, ME, [])
    assert invoice is not None
    credit(account_books.standing, start, "30")
    assert not account_books.standing.apply(invoice)


def test_a_note_of_what_an_invoice_added_that_comes_while_that_is_voided_makes_the_voiding_void() -> None:
    account_books = books(used(20, 4), used(21, 10, close=3), end="2026-02-01")
    _, january = account_books.close(FEBRUARY)
    account_books.closes += 1
    (late,) = account_books.close(MARCH)
    assert billed(late) == [("c", "10.00")]
    void = voided(account_books.standing.chain("air", "s"), late, "wrong", "me", 0)
    assert void is not None
    credit(account_books.standing, january, "4")
    assert not account_books.standing.apply(void)
    with pytest.raises(ChangeRefused, match=r"added to .* of which a credit note has credited something since"):
        voided(account_books.standing.chain("air", "s"), late, "wrong", "me", 0)


def test_what_comes_after_a_note_counts_as_later_though_it_was_billed_as_of_an_earlier_instant() -> None:
    """Of 100 calls 10 are credited, after the instant as of which a later close takes 30 back: so 10 of these were
    credited, and 5 that come later are billed."""
    account_books = books(used(20, 100), used(21, -30, close=3), used(22, 5, close=4), end="2026-02-01")
    _, january = account_books.close(FEBRUARY)
    account_books.closes += 1
    credit(account_books.standing, january, "10", 1, at_us=MARCH + 1)
    (less,) = account_books.close(MARCH)
    assert billed(less) == [("c", "-30.00"), ("credit_note:c", "10.00")]
    (more,) = account_books.close(APRIL)
    assert billed(more) == [("c", "5.00")]
    assert checked(account_books) == []
