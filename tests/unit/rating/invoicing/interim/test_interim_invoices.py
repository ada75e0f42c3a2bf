"""When an interim invoice is made, once, and what becomes of it."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.amounts.prepaid_credits import drawn
from rating.invoices.credit_notes import NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, voided
from rating.invoicing.interim.interim_plan import lines_with_threshold, named_lines, only, plan_interims, reached
from rating.invoicing.measure import needs_of
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.subscriptions.shared_timelines import timelines
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.instants import DAY
from tests.unit.rating.builders import Shelf, stored
from tests.unit.rating.invoicing.builders import (
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    Used,
    amounts,
    catalog,
    plan,
    used,
)
from tests.unit.rating.verify.builders import verified

UNIT = {"model": "per_unit", "unit_amount": "1"}
UNIT_FEE = {"model": "flat", "amount": "62"}
OFF = {"discounts": [{"code": "ten", "percent": "10"}]}


def books(*quantities: tuple[float, int], **terms: Any) -> Books:
    """Use of (day of the year, quantity), each known from its day on, at 1.00; interim invoices from 30.00 on."""
    shelf = catalog(UNIT, [{"product": "fee", "price": {"model": "flat", "amount": "5"}}])
    shelf.add("subscription", SUBSCRIPTION | {"invoice_threshold": "30"} | terms)
    return Books(shelf, [used(day, quantity) for day, quantity in quantities])


def interims(of: Books, day: float, run: str = "interim", *, by_hand: bool = False) -> list[Invoice]:
    """What a close on that day would publish of running periods, as it is read back; usage is that by then."""
    at = JANUARY + int(day * DAY)
    view, known = of.shelf.view(), Books(of.shelf, [event for event in of.events if event.at_us <= at])
    lines = named_lines(view, ["s"], []) if by_hand else lines_with_threshold(timelines(view, []), at)
    planned = plan_interims(view, of.standing, at, {}, lines)
    assert planned.problems == ()
    totals, run_of = known.measure(needs_of(planned.billings)), Run(run, 1, 0, at, {})
    planned = only(planned, reached(planned, totals, run_of, anything=by_hand))
    invoices, problems = build_invoices(planned, totals, run_of)
    assert problems == ()
    return [stored(invoice) for invoice in invoices]


def published(of: Books, invoices: list[Invoice]) -> list[Invoice]:
    return [invoice for invoice in invoices if of.standing.apply(invoice)]


def period(of: Books, run: str = "period", as_of: int = FEBRUARY) -> list[Invoice]:
    """What a close of January would publish, as it is read back."""
    planned = make_plan(of.shelf.view(), of.standing, as_of, {})
    invoices, problems = build_invoices(planned, of.totals(planned), Run(run, 2, 0, as_of, {}))
    assert planned.problems == problems == ()
    return [stored(invoice) for invoice in invoices]


def billed(of: Books) -> Decimal:
    standing = (invoice for invoice in of.standing.invoices("air") if invoice.state != VOID)
    return sum((Decimal(body_of(invoice).subtotal or 0) for invoice in standing), Decimal(0))


def test_use_is_billed_each_time_that_so_much_of_it_is_not_billed() -> None:
    of = books((1, 33), (4, 1), (6, 32), (8, 33), **OFF)
    assert interims(of, 2) == []  # 29.70, after the discount
    assert amounts(published(of, interims(of, 5))) == ["usage c 34.00", "discount discount:ten -3.40"]
    assert interims(of, 5) == []
    assert interims(of, 7) == []  # 28.80 more
    (second,) = published(of, interims(of, 9))
    assert amounts([second]) == ["usage c 99.00", "discount discount:ten -6.50", "adjustment c -34.00"]
    assert (second.total, body_of(second).interim) == ("58.50", {"episode": 2, "threshold": "30"})
    assert [invoice.total for invoice in published(of, period(of))] == ["4.50"]  # the fee
    assert billed(of) == Decimal("93.60")
    assert verified(of.standing.chain("air", "s")) == []


def test_two_closes_at_once_bill_a_crossing_once() -> None:
    """Whichever writes first; as of other checkpoints, with other bytes. One that died before it wrote left nothing."""
    for order in permutations(range(3)):
        of = books((1, 40), (3, 5))
        planned = [interims(of, day, run) for day, run in ((2, "a"), (4, "b"), (2, "a"))]
        valid = [invoice for number in order for invoice in published(of, planned[number])]
        assert len(valid) == 1
        assert interims(of, 5) == []
        published(of, period(of))
        assert billed(of) == Decimal(50)
        assert verified(of.standing.chain("air", "s")) == []


def test_an_interim_invoice_and_the_one_of_its_period_at_once_bill_it_once() -> None:
    of = books((1, 40))
    (interim,), (january,) = interims(of, 2), period(of)
    assert published(of, [interim, january]) == [interim]
    assert [invoice.total for invoice in published(of, period(of, "again"))] == ["5.00"]
    of = books((1, 40))
    (interim,), (january,) = interims(of, 2), period(of)
    assert published(of, [january, interim]) == [january]
    assert billed(of) == Decimal(45)


def test_a_void_one_counts_nowhere_and_one_that_was_taken_off_is_not_voided() -> None:
    of = books((1, 40), (8, 35))
    (interim,) = published(of, interims(of, 2))
    void = voided(of.standing.chain("air", "s"), interim, "wrong", "me", 0)
    assert void is not None
    late = period(of)  # planned before it is void
    assert of.standing.apply(replace(void, claim_id="v"))
    assert published(of, late) == []
    (again,) = published(of, interims(of, 3))
    assert (again.total, body_of(again).interim) == ("40.00", {"episode": 2, "threshold": "30"})
    (third,) = published(of, interims(of, 9))
    with pytest.raises(ChangeRefused, match=f"adjusted by {third.invoice_id}"):
        voided(of.standing.chain("air", "s"), again, "wrong", "me", 0)
    (january,) = published(of, period(of))
    with pytest.raises(ChangeRefused, match="void that one first"):
        voided(of.standing.chain("air", "s"), third, "wrong", "me", 0)
    # The period's own invoice is voided as ever, and billed again it takes off the same.
    void = voided(of.standing.chain("air", "s"), january, "wrong", "me", 0)
    assert void is not None
    assert of.standing.apply(replace(void, claim_id="w"))
    assert [invoice.total for invoice in published(of, period(of, "again"))] == ["5.00"]
    assert billed(of) == Decimal(80)
    assert verified(of.standing.chain("air", "s")) == []


def test_what_an_interim_invoice_bills_is_credited_on_that_of_its_period() -> None:
    of = books((1, 40))
    (interim,) = published(of, interims(of, 2))
    note = NewCreditNote("n", Decimal(1), "sorry", "me", 0)
    with pytest.raises(ChangeRefused, match="interim one, which the invoice of its period takes off again"):
        with_credit_note(interim, note, of.standing.chain("air", "s"))
    (january,) = published(of, period(of))
    assert with_credit_note(january, note, of.standing.chain("air", "s")) is not None


def test_it_waits_for_the_periods_before_its_own() -> None:
    of = books((10, 40), (33, 40))
    assert interims(of, 34) == []  # January is not billed
    published(of, period(of))
    (interim,) = published(of, interims(of, 34))
    assert (interim.period_start, interim.period_end, interim.sequence) == (FEBRUARY, FEBRUARY, 0)
    (february,) = published(of, period(of, as_of=MARCH))
    assert (february.period_start, february.period_end, february.sequence) == (FEBRUARY, MARCH, 1)
    assert billed(of) == Decimal(90)
    # Nor is there one before the subscription begins, or once it has ended.
    assert interims(books(start="2026-01-05T00:00:00Z"), 2, by_hand=True) == []
    assert interims(books((1, 40), end="2026-01-02T00:00:00Z"), 3) == []


def test_one_by_hand_bills_whatever_was_used() -> None:
    of = books((1, 1))
    assert interims(of, 2) == []
    (interim,) = published(of, interims(of, 2, by_hand=True))
    assert interim.total == "1.00"
    assert interims(of, 2, by_hand=True) == []


def test_a_plan_change_and_fees_in_advance_are_billed_as_if_in_one() -> None:
    seat = {"product": "fee", "price": {"model": "flat", "amount": "31"}, "in_advance": True}
    shelf = catalog(UNIT)
    shelf.add("plan", plan(UNIT, more=[seat]) | {"invoice_threshold": "30", "minimum_commitment": "100"})
    shelf.add("plan", plan(UNIT | {"unit_amount": "2"}, "team", more=[seat | {"price": UNIT_FEE}]))
    shelf.add("subscription", SUBSCRIPTION)
    of = Books(shelf, [used(1, 40), used(20, 3)])
    assert interims(of, 2) == []  # what opens the chain comes first
    assert [invoice.total for invoice in published(of, period(of, as_of=JANUARY))] == ["31.00"]
    assert [invoice.total for invoice in published(of, interims(of, 2))] == ["40.00"]
    shelf.add("subscription", SUBSCRIPTION | {"plan": "team", "change_at": "2026-01-17T00:00:00Z"})
    (january,) = published(of, period(of))
    assert billed(of) == Decimal(46 + 16 + 30 + 62)
    assert verified(of.standing.chain("air", "s")) == []
    assert january.sequence == 2


def test_verification_names_an_interim_invoice_that_is_not_taken_off() -> None:
    of = books((1, 40))
    published(of, interims(of, 2))
    (january,) = published(of, period(of))
    chain = of.standing.chain("air", "s")
    wrong = replace(january, lines=tuple(line for line in january.lines if not line.adjusts))
    (finding, *_) = verified([*chain[:-1], wrong])
    assert "billed of c before: expected taken off in full, found 40 more" in finding


@pytest.mark.parametrize(("since", "use"), [("2026-01-11T00:00:00Z", 120), ("2026-01-01T12:00:00Z", 160)])
def test_a_price_that_is_dated_back_holds_for_use_that_was_billed(since: str, use: int) -> None:
    of = books((1, 40), (15, 40))
    published(of, interims(of, 2))
    dearer = [{"charge": "c", "price": UNIT | {"unit_amount": "2"}}]
    body = SUBSCRIPTION | {"overrides": dearer, "change_at": since}
    of.shelf.add("subscription", body)
    published(of, period(of))
    assert billed(of) == use + 5
    assert verified(of.standing.chain("air", "s")) == []


def test_nothing_is_due_without_a_threshold() -> None:
    shelf: Shelf = catalog(UNIT)
    assert lines_with_threshold(timelines(shelf.view(), []), JANUARY + DAY) == []
    assert plan_interims(shelf.view(), StandingInvoices(), JANUARY + DAY, {}, ()).billings == ()


MONTHS = (0, 31, 59, 90)


@st.composite
def years(draw: st.DrawFn) -> tuple[dict[str, Any], list[str], list[tuple[float, int, float | None]], list[float]]:
    """(terms, grants, (day, quantity, day of its void in the same month), days of interim invoices), January to
    March."""
    terms = draw(
        st.sampled_from([{}, OFF, {"discounts": [{"code": "d", "amount": "25"}]}, {"minimum_commitment": "60"}])
    )
    grants = draw(st.lists(st.sampled_from(["7", "20", "68.42", "150"]), max_size=2))
    events: list[tuple[float, int, float | None]] = []
    for day, quantity, lasts in draw(
        st.lists(st.tuples(st.integers(0, 88), st.integers(1, 90), st.none() | st.integers(1, 25)), max_size=8)
    ):
        end = next(month for month in MONTHS if month > day)
        gone = None if lasts is None else day + lasts
        events.append((day + 0.25, quantity, gone if gone is not None and gone < end else None))
    return terms, grants, events, sorted(draw(st.sets(st.integers(1, 89), max_size=6)))


def known_by(events: list[tuple[float, int, float | None]], day: float) -> list[Used]:
    return [used(at, quantity) for at, quantity, gone in events if at <= day and (gone is None or gone > day)]


@given(years())
@example((OFF, ["150", "7"], [(17, 82, None), (60, 99, 86), (79, 23, None)], [13.0, 30.0, 82.0]))
@example(({}, ["90"], [(1, 97, None), (9, 130, 15), (2, 33, 15)], [4.0, 11.0]))
@example((OFF, ["20"], [(59.25, 1, None), (60.25, 12, 62)], [60, 61]))
def test_all_that_grants_and_money_pay_is_what_one_bill_would_have_had(year: Any) -> None:
    """Of a year whose events are voided in their own month; also where that is less than what was billed."""
    terms, grants, events, days = year
    results = []
    for with_interims in (True, False):
        of = books(**terms)
        for number, amount in enumerate(grants):
            of.shelf.add("credit_grant", {"code": f"g{number}", "account": "acme", "amount": amount, "currency": "USD"})
        acts = sorted([(float(day), True) for day in days if with_interims] + [(month, False) for month in MONTHS[1:]])
        for number, (day, interim) in enumerate(acts):
            of.events = known_by(events, day)
            if interim:
                published(of, interims(of, day, f"run_{number}", by_hand=True))
            else:
                published(of, period(of, f"run_{number}", JANUARY + int(day * DAY)))
        invoices = of.standing.invoices("air")
        assert verified(invoices, of.shelf.catalog) == []
        paid = {code: amount for code, amount in drawn(invoices).items() if amount}
        results.append((billed(of), sum(Decimal(invoice.total) for invoice in invoices), paid))
    assert results[0] == results[1]
