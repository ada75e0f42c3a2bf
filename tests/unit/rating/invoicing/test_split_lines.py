"""A change of price in mid-period: what its parts share by the charge's choice, on another plan, in a trial, and with
late usage."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.verify.invoices.from_topic import plan_price_text
from schemas.values.instants import DAY
from tests.unit.rating.invoicing.builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    amounts,
    by_part,
    catalog,
    plan,
    used,
)
from tests.unit.rating.verify.builders import verified

INCLUDED = {"model": "per_unit", "unit_amount": "0.01", "included_units": "1000"}
DEARER = INCLUDED | {"unit_amount": "0.02"}
TIERS = [{"up_to": "1000", "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.01"}]


def override(price: dict[str, Any], at: str = "2026-01-15") -> dict[str, Any]:
    return SUBSCRIPTION | {"overrides": [{"charge": "c", "price": price}], "change_at": at}


def test_a_price_override_in_mid_month_leaves_one_allowance_of_1000() -> None:
    found = catalog(INCLUDED)
    found.add("subscription", override(DEARER))
    books = Books(found, [used(3, 600), used(20, 1400)])
    (january,) = books.close(FEBRUARY)
    assert amounts([january]) == ["usage c 0.00", "usage c 20.00"]  # 1,000 of the 2,000, all of them in the dearer part
    first, second = (json.loads(line.price) for line in january.lines)
    assert first["split"] == {"of": "basic"}
    assert second["split"] == {"of": "basic", "included_before": "600", "priced_before": "0"}
    assert "400 of 1000 included units used (600 by earlier parts of the period)" in january.lines[1].steps
    assert plan_price_text(january.lines[1].price, "USD") == plan_price_text(json.dumps(DEARER), "USD")


@pytest.mark.parametrize(
    ("charge", "expected"),
    [
        ({}, ["usage c 5.00", "usage c 10.00"]),
        ({"included": "shared", "tiers": "continue"}, ["usage c 5.00", "usage c 10.00"]),
        ({"included": "whole"}, ["usage c 5.00", "usage c 0.00"]),
        ({"included": "whole", "tiers": "reset"}, ["usage c 5.00", "usage c 0.00"]),
        ({"included": "prorated"}, ["usage c 10.48", "usage c 4.52"]),  # 14 and 17 of 31 days of 1,000
    ],
)
def test_the_choice_of_an_allowance(charge: dict[str, Any], expected: list[str]) -> None:
    found = catalog(INCLUDED, **charge)
    found.add("plan", plan(INCLUDED | {"minimum_amount": "0"}, **charge))  # another version, the same price
    found.add("subscription", SUBSCRIPTION | {"change_at": "2026-01-15"})
    assert amounts(Books(found, [used(3, 1500), used(20, 1000)]).close(FEBRUARY)) == expected


@pytest.mark.parametrize(("tiers", "expected"), [(None, "5.00"), ("continue", "5.00"), ("reset", "0.00")])
def test_the_choice_of_tiers(tiers: str | None, expected: str) -> None:
    price = {"model": "tiered", "tiers": TIERS}
    found = catalog(price, tiers=tiers)
    found.add("subscription", override(price | {"maximum_amount": "900"}))
    assert amounts(Books(found, [used(3, 800), used(20, 700)]).close(FEBRUARY)) == [
        "usage c 0.00",
        f"usage c {expected}",
    ]


def test_an_allowance_is_prorated_in_a_short_first_period_only_where_the_charge_says_so() -> None:
    for choice, expected in ((None, "0.00"), ("shared", "0.00"), ("prorated", "4.52")):
        found = catalog(INCLUDED, included=choice)
        found.add("subscription", SUBSCRIPTION | {"start": "2026-01-15T00:00:00Z"})
        assert amounts(Books(found, [used(20, 1000)]).close(FEBRUARY)) == [f"usage c {expected}"]


@pytest.mark.parametrize(
    ("charge", "expected"),
    [({}, ["10.00", "0.00", "20.00"]), ({"included": "shared", "tiers": "continue"}, ["10.00", "20.00", "20.00"])],
)
def test_another_plan_begins_anew_unless_its_charge_says_otherwise_and_coming_back_does_not(
    charge: dict[str, Any], expected: list[str]
) -> None:
    found = catalog(INCLUDED | {"unit_amount": "0.02"}, **charge)
    found.add("plan", plan(DEARER, "pro", **charge))
    found.add("subscription", SUBSCRIPTION | {"plan": "pro", "change_at": "2026-01-11"})
    found.add("subscription", SUBSCRIPTION | {"change_at": "2026-01-21"})
    books = Books(found, [used(3, 1500), used(15, 1000), used(25, 1000)])
    assert [line.amount for line in books.close(FEBRUARY)[0].lines] == expected


def test_what_was_used_in_a_trial_takes_nothing_of_the_allowance() -> None:
    found = catalog(INCLUDED)
    found.add("subscription", SUBSCRIPTION | {"trial_end": "2026-01-11"})
    assert amounts(Books(found, [used(3, 5000), used(15, 1001)]).close(FEBRUARY)) == ["usage c 0.00", "usage c 0.01"]


def test_a_maximum_adds_up_to_no_period_so_each_part_stands_alone() -> None:
    price = {"model": "tiered", "tiers": [{"up_to": "3", "unit_amount": "0"}, {"up_to": None, "unit_amount": "1"}]}
    found = catalog(INCLUDED, [{"product": "top", "price": price}])
    other = {"charge": "top", "price": price | {"maximum_amount": "9"}}
    found.add("subscription", SUBSCRIPTION | {"overrides": [other], "change_at": "2026-01-15"})
    (january,) = Books(found, [used(3, 5), used(20, 6)]).close(FEBRUARY)
    top = [line for line in january.lines if line.charge == "top"]
    assert [line.amount for line in top] == ["2.00", "3.00"]
    assert not any("split" in line.price for line in top)


def test_late_usage_of_the_first_part_changes_what_the_second_costs() -> None:
    found = catalog(INCLUDED)
    found.add("subscription", override(DEARER))
    books = Books(found, [used(3, 600), used(20, 1400), used(5, 300, close=2), used(6, 200, close=3)])
    books.close(FEBRUARY)
    (february,) = books.close(MARCH)
    assert amounts([february]) == ["usage c 0.00", "adjustment c 6.00"]  # 300 fewer of the dearer ones are included
    change = february.lines[1]
    assert json.loads(change.price)["split"]["included_before"] == "900"
    assert (change.quantity, change.period_start) == ("1400", JANUARY + 14 * DAY)
    (march,) = books.close(APRIL)
    assert amounts([march]) == [
        "usage c 0.00",
        "adjustment c 1.00",
        "adjustment c 2.00",
    ]  # 100 of the 200 beyond the allowance


def test_an_invoice_of_before_keeps_what_it_meant() -> None:
    """Its lines pin no split: whole tiers and included units in each part, also when late usage rates them again."""
    found = catalog(INCLUDED, included="whole", tiers="reset")
    found.add("subscription", override(DEARER))
    books = Books(found, [used(3, 600), used(20, 1400), used(5, 500, close=2)])
    (january,) = books.close(FEBRUARY)
    assert all("split" not in line.price for line in january.lines)
    found.add("plan", plan(INCLUDED))  # the newest version shares; what is billed does not
    assert amounts(books.close(MARCH)) == ["usage c 0.00", "adjustment c 1.00"]


each = st.decimals(0, 3, places=2)
quantities = st.decimals(-5, 40, places=2)


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    bounds = [*sorted(draw(st.sets(st.integers(1, 60), max_size=3))), None]
    tiers = [
        {
            "up_to": None if bound is None else str(bound),
            "unit_amount": str(draw(each)),
            "flat_amount": str(draw(each)),
        }
        for bound in bounds
    ]
    model = draw(st.sampled_from(["per_unit", "tiered", "volume", "package"]))
    fields: dict[str, Any] = {"tiers": tiers}
    if model == "per_unit":
        fields = {"unit_amount": str(draw(each))}
    if model == "package":
        fields = {
            "package_size": str(draw(st.integers(1, 9))),
            "package_amount": str(draw(each)),
            "free_units": str(draw(st.integers(0, 20))),
        }
    more = {"included_units": str(draw(st.integers(0, 40))), "maximum_amount": str(draw(st.integers(0, 60)))}
    return {"model": model} | fields | {name: more[name] for name in draw(st.sets(st.sampled_from(sorted(more))))}


@settings(max_examples=60)
@given(
    st.lists(prices(), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 58), quantities, st.integers(0, 3)), max_size=12),
    st.sampled_from([None, "shared", "whole", "prorated"]),
    st.sampled_from([None, "continue", "reset"]),
)
def test_whenever_usage_comes_the_bills_of_each_part_come_to_one_bill_over_everything(
    versions: list[dict[str, Any]], events: list[tuple[int, Decimal, int]], included: str | None, tiers: str | None
) -> None:
    """Up to three overrides in January and February; closes in February, March and April, and one after them."""
    found = catalog(versions[0], included=included, tiers=tiers)
    for number, price in enumerate(versions[1:]):
        found.add("subscription", override(price, f"2026-0{1 + number // 2}-{10 + number * 5}"))
    late = Books(found, [used(day, quantity, close=close + 1 if close else 0) for day, quantity, close in events])
    prompt = Books(found, [used(day, quantity) for day, quantity, _ in events])
    for as_of_us in (FEBRUARY, MARCH, APRIL, APRIL + 30 * DAY):
        late.close(as_of_us)
        prompt.close(as_of_us)
    assert by_part(late.standing) == by_part(prompt.standing)


TOP = {"product": "top", "price": {"model": "per_unit", "unit_amount": "5", "included_units": "10"}}


def test_a_highest_value_is_billed_once_where_another_price_of_the_plan_changes() -> None:
    """12 in both halves, 10 of them included: 10.00 as without the change, not 10.00 a part."""
    found = catalog(INCLUDED, [TOP])
    events = [used(3, 12), used(20, 12)]
    assert amounts(Books(found, events).close(FEBRUARY)) == ["usage c 0.00", "usage top 10.00"]
    found.add("subscription", override(DEARER))
    (january,) = Books(found, events).close(FEBRUARY)
    assert amounts([january]) == ["usage c 0.00", "usage top 10.00", "usage c 0.00"]
    assert (january.lines[1].period_start, january.lines[1].period_end) == (JANUARY, FEBRUARY)
    assert verified([january], found.catalog) == []


@pytest.mark.parametrize(("top", "expected"), [(10, ["0.00", "0.00"]), (12, ["10.00", "12.00"])])
def test_each_part_has_its_own_highest_value_where_its_price_changes(top: int, expected: list[str]) -> None:
    """What is included is for each part: 10 of 10 are nothing, with and without a change. Of what is beyond, each part
    bills its own."""
    found = catalog(INCLUDED, [TOP])
    dearer = {"charge": "top", "price": TOP["price"] | {"unit_amount": "6"}}
    found.add("subscription", SUBSCRIPTION | {"overrides": [dearer], "change_at": "2026-01-15"})
    (january,) = Books(found, [used(3, top), used(20, top)]).close(FEBRUARY)
    assert [line.amount for line in january.lines if line.charge == "top"] == expected


def test_a_minimum_of_a_highest_value_stays_whole_where_another_price_changes() -> None:
    found = catalog(INCLUDED, [TOP | {"price": TOP["price"] | {"minimum_amount": "40"}}])
    found.add("subscription", override(DEARER))
    (january,) = Books(found, [used(3, 12)]).close(FEBRUARY)
    assert amounts([january]) == ["usage c 0.00", "usage top 40.00", "usage c 0.00"]
