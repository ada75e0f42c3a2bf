"""Late usage beside discounts, commitments and fees in advance: of a period whose fees are billed again, and of a
subscription that has ended."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoices.transitions import voided
from schemas.values.instants import DAY
from tests.unit.rating.invoicing.builders import (
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    amounts,
    catalog,
    plan,
    used,
)
from tests.unit.rating.verify.builders import verified

SEAT = {"product": "fee", "price": {"model": "flat", "amount": "30"}, "in_advance": True}
UNIT = {"model": "per_unit", "unit_amount": "1"}


def books(*events: Any, **terms: Any) -> Books:
    """A seat of 30 in advance, and 1 a unit."""
    result = catalog(UNIT, [SEAT])
    result.add("plan", plan(UNIT, more=[SEAT]))
    result.add("subscription", SUBSCRIPTION | terms)
    return Books(result, events)


def whole(expected: Books) -> Decimal:
    return sum(
        (Decimal(item.total) for item in expected.standing.chain("air", "s") if item.state != "void"), Decimal(0)
    )


@pytest.mark.parametrize(
    ("terms", "before", "after"),
    [
        ({"minimum_commitment": "100"}, "100", "100"),
        ({"discounts": [{"code": "off", "amount": "25"}]}, "15", "23"),
        ({"discounts": [{"code": "half", "percent": "50"}], "minimum_commitment": "22"}, "22", "24"),
    ],
)
def test_late_usage_of_a_period_counts_its_fee_that_is_billed_again(terms: Any, before: str, after: str) -> None:
    """January: 30 in advance and 10 of usage; the opening is voided, and billed again by the run that bills 8 more."""
    result = books(used(3, 10), used(4, 8, close=3), end="2026-02-01T00:00:00Z", **terms)
    result.close(JANUARY)
    result.close(FEBRUARY)
    assert whole(result) == Decimal(before)
    chain = result.standing.chain("air", "s")
    void = voided(chain, chain[0], "wrong", "me", 0)
    assert void is not None
    assert result.standing.apply(void)
    result.close(FEBRUARY + DAY)
    assert whole(result) == Decimal(after)
    assert verified(result.standing.chain("air", "s")) == []


def test_verification_takes_what_late_usage_changes_of_terms_after_the_end_for_no_fault() -> None:
    terms = {"discounts": [{"code": "half", "percent": "50"}], "minimum_commitment": "22"}
    result = books(used(3, 10), used(4, 8, close=3), end="2026-02-01T00:00:00Z", **terms)
    result.close(JANUARY)
    result.close(FEBRUARY)
    (late,) = result.close(MARCH)
    assert amounts([late]) == [
        "adjustment c 8.00", "adjustment commitment: -2.00", "adjustment discount:half -4.00",
    ]  # fmt: skip
    assert verified(result.standing.chain("air", "s")) == []
    wrong = tuple(replace(line, amount="-1.00") if line.charge == "commitment:" else line for line in late.lines)
    (fault,) = verified(
        [*result.standing.chain("air", "s")[:-1], replace(late, lines=wrong, body='{"terms_of": "period"}')]
    )
    assert "commitment:" in fault


HALF = {"discounts": [{"code": "half", "percent": "50"}]}


def noted(expected: Books, amount: str, line: int) -> None:
    """A credit note on the newest invoice."""
    chain = expected.standing.chain("air", "s")
    note = NewCreditNote("n", None, "sorry", "me", chain[-1].as_of + 1, (LineCredit(line, Decimal(amount)),))
    following = with_credit_note(chain[-1], note, chain)
    assert following is not None
    assert expected.standing.apply(replace(following, claim_id="n"))


def test_verification_knows_what_discounts_do_where_a_change_settles_a_fee_that_was_credited() -> None:
    """A quarter at 90 days of 1 a day, half off; 45 credited; on the day in the middle to 2 a day: 90 more, 45 less,
    each by half."""
    result = books()
    for code, amount in (("basic", "90"), ("pro", "180")):
        seat = SEAT | {"price": {"model": "flat", "amount": amount}}
        result.shelf.add("plan", plan(UNIT, code, [seat]) | {"interval": "quarter"})
    result.shelf.add("subscription", SUBSCRIPTION | HALF)
    result.close(JANUARY)
    noted(result, "45", 1)
    result.shelf.add("subscription", SUBSCRIPTION | HALF | {"plan": "pro", "change_at": "2026-02-15T00:00:00Z"})
    (change,) = result.close(FEBRUARY + 14 * DAY)
    assert amounts([change]) == [
        "flat fee 90.00", "discount discount:half -22.50", "adjustment fee -45.00", "adjustment credit_note:fee 22.50",
    ]  # fmt: skip
    assert verified(result.standing.chain("air", "s")) == []


def test_verification_keeps_late_usage_apart_from_a_settlement_beside_a_credit_note() -> None:
    result = books(used(3, 10), used(4, 8, close=3), **HALF)
    result.close(JANUARY)
    (january,) = result.close(FEBRUARY)
    noted(result, "15", 2)
    result.shelf.add("subscription", SUBSCRIPTION | HALF | {"end": "2026-02-15T00:00:00Z"})
    (february,) = result.close(FEBRUARY + 14 * DAY)
    assert {line.adjusts for line in february.lines} == {"", january.invoice_id}
    assert verified(result.standing.chain("air", "s")) == []


def test_a_fee_that_another_price_splits_stays_as_it_was_billed_and_so_does_its_credit_note() -> None:
    result = books()
    result.close(JANUARY)
    noted(result, "30", 1)
    second_document = {
        "overrides": [{"charge": "c", "price": UNIT | {"unit_amount": "2"}}],
        "change_at": "2026-01-16T00:00:00Z",
    }
    result.shelf.add("subscription", SUBSCRIPTION | second_document)
    assert amounts(result.close(FEBRUARY)) == ["usage c 0.00", "usage c 0.00", "flat fee 30.00"]  # February's
    assert verified(result.standing.chain("air", "s")) == []
