"""Grants that recur: what an invoice may draw, against a fold of every recurrence in turn."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.amounts.recurrences import code_at, granted_by, left_at
from rating.verify.difference import Findings
from rating.verify.independent.discounts_and_credits import check_granted
from schemas.catalog.terms import CreditGrant
from schemas.values.instants import DAY
from tests.unit.rating.builders import Shelf, us

BODY: dict[str, Any] = {
    "code": "g", "account": "acme", "amount": "10", "currency": "USD", "effective": "2026-01-31",
    "recurrence": {"every": "month", "rollover": "4"},
}  # fmt: skip


def stands(amount: int, cap: int, draws: dict[int, int], void: range) -> bool:
    """Whether no recurrence pays more than it has; ``void``: those that were not given."""
    level = amount - draws.get(0, 0)
    for number in range(1, 12):
        if level < 0:
            return False
        level = min(level, cap) + amount * (number not in void) - draws.get(number, 0)
    return level >= 0


@given(
    amount=st.integers(1, 9),
    cap=st.integers(0, 20),
    asked=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 25)), max_size=8),
    number=st.integers(0, 9),
    void=st.tuples(st.integers(1, 9), st.integers(0, 3)),
)
def test_what_can_be_drawn_is_all_that_leaves_no_recurrence_below_zero(
    amount: int, cap: int, asked: list[tuple[int, int]], number: int, void: tuple[int, int]
) -> None:
    """Whatever was drawn before, in whatever order of the recurrences: late invoices draw on earlier ones."""
    recurrence = {"every": "week", "rollover": str(cap)}
    body = BODY | {"amount": str(amount), "effective": "2026-01-05", "recurrence": recurrence}
    grant = CreditGrant.model_validate(body)
    used: dict[str, Decimal] = {}
    draws: dict[int, int] = {}

    # Retired from within the recurrence before the first that is not given to within the last.
    first, last = void[0], void[0] + void[1]
    noon = us("2026-01-05T12:00:00Z")
    pauses = [(noon + (first - 1) * 7 * DAY, noon + (last - 1) * 7 * DAY)] if last > first else []
    missing = range(first, last)

    def left(week: int) -> int:
        return int(left_at(grant, used, noon + week * 7 * DAY, "UTC", pauses))

    for week, most in asked:
        drawn = min(left(week), most)
        code = f"g@{date(2026, 1, 5) + timedelta(weeks=week)}"
        used[code], draws[week] = used.get(code, Decimal(0)) + drawn, draws.get(week, 0) + drawn
        assert stands(amount, cap, draws, missing)
    most = left(number)
    assert stands(amount, cap, draws | {number: draws.get(number, 0) + most}, missing)
    assert not stands(amount, cap, draws | {number: draws.get(number, 0) + most + 1}, missing)


def test_recurrences_begin_at_local_midnights_counted_from_the_first() -> None:
    grant = CreditGrant.model_validate(BODY | {"expires": "2026-04-01"})
    zone = "America/New_York"
    for at, code, granted in (
        ("2026-01-01T00:00:00Z", "g@2026-01-31", 10),
        ("2026-02-28T04:59:59Z", "g@2026-01-31", 10),
        ("2026-02-28T05:00:00Z", "g@2026-02-28", 20),
        ("2026-03-31T04:00:00Z", "g@2026-03-31", 30),
        ("2027-01-01T00:00:00Z", "g@2026-03-31", 30),
    ):
        assert (code_at(grant, us(at), zone), granted_by(grant, us(at), zone)) == (code, granted)
    once = CreditGrant.model_validate(BODY | {"recurrence": None})
    assert code_at(once, us("2027-01-01T00:00:00Z"), zone) == "g"


@pytest.mark.parametrize(
    ("draws", "right"),
    [
        ({"g@2026-01-31": 10, "g@2026-02-28": 10}, True),
        ({"g@2026-01-31": 3, "g@2026-02-28": 14}, True),
        ({"g@2026-01-31": 3, "g@2026-02-28": 15}, False),
        ({"g@2026-01-31": 7, "g@2026-02-28": 14}, False),
        ({"g@2026-02-27": 1}, False),
        ({"g": 4, "g@2026-01-31": 7}, False),
    ],
)
def test_verification_names_what_a_recurrence_did_not_have(draws: dict[str, int], right: bool) -> None:
    shelf, findings = Shelf(), Findings()
    shelf.add("account", {"code": "acme"})
    shelf.add("credit_grant", BODY)
    check_granted({("air", code): Fraction(amount) for code, amount in draws.items()}, shelf.catalog, findings)
    assert (list(findings.differences()) == []) == right
