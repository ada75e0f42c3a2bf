"""Discounts, price overrides and credit grants as the catalog takes them, and old bodies without them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.catalog.models import Plan, Subscription
from schemas.catalog.terms import CreditGrant, Discount

TEN = {"code": "ten", "percent": "10"}
CALLS = {"product": "calls", "price": {"model": "per_unit", "unit_amount": "1"}}
SUBSCRIPTION: dict[str, Any] = {"code": "s", "account": "a", "plan": "p", "start": "2026-01-01"}
GRANT: dict[str, Any] = {"code": "g", "account": "a", "amount": "100", "currency": "USD"}


def test_bodies_of_before_are_read_and_have_no_terms() -> None:
    plan = Plan.model_validate({"code": "p", "currency": "USD", "charges": [CALLS]})
    subscription = Subscription.model_validate(SUBSCRIPTION)
    assert (plan.discounts, plan.minimum_commitment) == ((), None)
    assert (subscription.discounts, subscription.overrides, subscription.minimum_commitment) == ((), (), None)


def test_terms_are_exact_and_survive_the_log() -> None:
    override = {"charge": "calls", "price": {"model": "per_unit", "unit_amount": "0.9"}}
    body = SUBSCRIPTION | {"overrides": [override], "discounts": [TEN], "minimum_commitment": "12.50"}
    written = Subscription.model_validate(body).model_dump(mode="json")
    assert written["minimum_commitment"] == "12.5"
    assert written["discounts"][0]["percent"] == "10"
    assert Subscription.model_validate(written).model_dump(mode="json") == written
    grant = CreditGrant.model_validate(GRANT | {"effective": "2026-01-01", "expires": "2026-07-01T00:00:00+02:00"})
    assert CreditGrant.model_validate(grant.model_dump(mode="json")) == grant
    assert CreditGrant.model_validate(grant.written()) == grant
    assert not {"source", "cost_basis", "recurrence"} & set(grant.written())  # an earlier release reads it


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"percent": None}, "give either percent or amount"),
        ({"amount": "5"}, "give either percent or amount"),
        ({"percent": "100.01"}, "100.01 is above 100"),
        ({"percent": "0"}, "0 is not above 0"),
        ({"percent": 12.5}, "is a float, so already rounded"),
        ({"periods": 0}, "greater than or equal to 1"),
        ({"start": "2026-02-01", "end": "2026-02-01"}, "start and end: the second must be after the first"),
        ({"start": "0001-01-01"}, "0001-01-01 is out of range"),
        ({"code": "a:b"}, "should match pattern"),
    ],
)
def test_a_discount_is_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        Discount.model_validate(TEN | change)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"source": "promotional", "cost_basis": "5"}, "a promotional one costs nothing; remove cost_basis"),
        ({"cost_basis": "0.001"}, "cost_basis 0.001 has more than USD's 2 decimals"),
        ({"cost_basis": "-1"}, "-1 is negative"),
        ({"recurrence": {"every": "month"}}, "counted from effective; set it to a date"),
        ({"recurrence": {"every": "month"}, "effective": "1999-12-31"}, "of 2000 to 2200"),
        ({"recurrence": {"every": "month"}, "effective": "2026-01-02T03:00:00Z"}, "set it to a date"),
        ({"recurrence": {"every": "day"}, "effective": "2026-01-01"}, "'week', 'month', 'quarter' or 'year'"),
        ({"recurrence": {"every": "week", "rollover": "-1"}, "effective": "2026-01-01"}, "-1 is negative"),
        ({"recurrence": {"every": "week", "rollover": "0.001"}, "effective": "2026-01-01"}, "rollover 0.001 has more"),
        ({"account": None}, "give either account or subscription"),
        ({"subscription": "s"}, "give either account or subscription"),
        ({"amount": "-1"}, "-1 is not above 0"),
        ({"amount": "0.001"}, "more than USD's 2 decimals"),
        ({"currency": "XXX"}, "XXX has no minor unit"),
        ({"effective": "2026-02-02", "expires": "2026-02-01"}, "effective and expires"),
    ],
)
def test_a_grant_is_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        CreditGrant.model_validate(GRANT | change)


def test_what_stands_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="discounts: code ten stands twice"):
        Plan.model_validate({"code": "p", "currency": "USD", "discounts": [TEN, TEN]})
    override = {"charge": "calls", "price": {"model": "flat", "amount": "1"}}
    with pytest.raises(ValidationError, match="overrides: charge calls stands twice"):
        Subscription.model_validate(SUBSCRIPTION | {"overrides": [override, override]})
    with pytest.raises(ValidationError, match=r"price.amount: is missing"):
        Subscription.model_validate(SUBSCRIPTION | {"overrides": [{"charge": "calls", "price": {"model": "flat"}}]})
