"""Late usage beside discounts, commitments and fees in advance: of a period whose fees are billed again, and of a subscription that has ended."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from evidencekit import verified
from usagekit import FEBRUARY, JANUARY, MARCH, SUBSCRIPTION, Books, amounts, catalog, plan, used

from rating.close.versions import voided
from schemas.instants import DAY

SEAT = {"product": "fee", "price": {"model": "flat", "amount": "30"}, "in_advance": True}
UNIT = {"model": "per_unit", "unit_amount": "1"}


def books(*events: Any, **terms: Any) -> Books:
    """A seat of 30 in advance, and 1 a unit."""
    found = catalog(UNIT, [SEAT])
    found.add("plan", plan(UNIT, more=[SEAT]))
    found.add("subscription", SUBSCRIPTION | terms)
    return Books(found, events)


def whole(made: Books) -> Decimal:
    return sum((Decimal(one["total"]) for one in made.standing.chain("air", "s") if one["state"] != "void"), Decimal(0))


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
    made = books(used(3, 10), used(4, 8, close=3), end="2026-02-01T00:00:00Z", **terms)
    made.close(JANUARY)
    made.close(FEBRUARY)
    assert whole(made) == Decimal(before)
    chain = made.standing.chain("air", "s")
    void = voided(chain, chain[0], "wrong", "me", 0)
    assert void is not None
    assert made.standing.apply(void)
    made.close(FEBRUARY + DAY)
    assert whole(made) == Decimal(after)
    assert verified(made.standing.chain("air", "s")) == []


def test_verification_takes_what_late_usage_changes_of_terms_after_the_end_for_no_fault() -> None:
    terms = {"discounts": [{"code": "half", "percent": "50"}], "minimum_commitment": "22"}
    made = books(used(3, 10), used(4, 8, close=3), end="2026-02-01T00:00:00Z", **terms)
    made.close(JANUARY)
    made.close(FEBRUARY)
    (late,) = made.close(MARCH)
    assert amounts([late]) == [
        "adjustment c 8.00", "adjustment commitment: -2.00", "adjustment discount:half -4.00",
    ]  # fmt: skip
    assert verified(made.standing.chain("air", "s")) == []
    wrong = [one | {"amount": "-1.00"} if one["charge"] == "commitment:" else one for one in late["lines"]]
    (fault,) = verified(
        [*made.standing.chain("air", "s")[:-1], late | {"lines": wrong, "body": '{"terms_of": "period"}'}]
    )
    assert "commitment:" in fault
