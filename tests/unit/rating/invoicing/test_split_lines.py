"""A change of price in mid-period: what its parts share by the charge's choice, on another plan, in a trial, and with
late usage."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing import parse_price
from rating.verify.independent.price_arithmetic import cost as independent_cost
from rating.verify.invoices.from_topic import plan_price_text
from schemas.prices import prices_in_time
from schemas.values.instants import DAY
from tests.unit.rating.invoicing.builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    Used,
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
    result = catalog(INCLUDED)
    result.add("subscription", override(DEARER))
    books = Books(result, [used(3, 600), used(20, 1400)])
    (january,) = books.close(FEBRUARY)
    assert amounts([january]) == ["usage c 0.00", "usage c 20.00"]  # 1,000 of the 2,000, all of them in the dearer part
    first_value, second = (json.loads(line.price) for line in january.lines)
    assert first_value["split"] == {"of": "basic"}
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
    result = catalog(INCLUDED, **charge)
    result.add("plan", plan(INCLUDED | {"minimum_amount": "0"}, **charge))  # another version, the same price
    result.add("subscription", SUBSCRIPTION | {"change_at": "2026-01-15"})
    assert amounts(Books(result, [used(3, 1500), used(20, 1000)]).close(FEBRUARY)) == expected


@pytest.mark.parametrize(("tiers", "expected"), [(None, "5.00"), ("continue", "5.00"), ("reset", "0.00")])
def test_the_choice_of_tiers(tiers: str | None, expected: str) -> None:
    price = {"model": "tiered", "tiers": TIERS}
    result = catalog(price, tiers=tiers)
    result.add("subscription", override(price | {"maximum_amount": "900"}))
    assert amounts(Books(result, [used(3, 800), used(20, 700)]).close(FEBRUARY)) == [
        "usage c 0.00",
        f"usage c {expected}",
    ]


def test_an_allowance_is_prorated_in_a_short_first_period_only_where_the_charge_says_so() -> None:
    for choice, expected in ((None, "0.00"), ("shared", "0.00"), ("prorated", "4.52")):
        result = catalog(INCLUDED, included=choice)
        result.add("subscription", SUBSCRIPTION | {"start": "2026-01-15T00:00:00Z"})
        assert amounts(Books(result, [used(20, 1000)]).close(FEBRUARY)) == [f"usage c {expected}"]


@pytest.mark.parametrize(
    ("charge", "expected"),
    [({}, ["10.00", "0.00", "20.00"]), ({"included": "shared", "tiers": "continue"}, ["10.00", "20.00", "20.00"])],
)
def test_another_plan_begins_anew_unless_its_charge_says_otherwise_and_coming_back_does_not(
    charge: dict[str, Any], expected: list[str]
) -> None:
    result = catalog(INCLUDED | {"unit_amount": "0.02"}, **charge)
    result.add("plan", plan(DEARER, "pro", **charge))
    result.add("subscription", SUBSCRIPTION | {"plan": "pro", "change_at": "2026-01-11"})
    result.add("subscription", SUBSCRIPTION | {"change_at": "2026-01-21"})
    books = Books(result, [used(3, 1500), used(15, 1000), used(25, 1000)])
    assert [line.amount for line in books.close(FEBRUARY)[0].lines] == expected


def test_what_was_used_in_a_trial_takes_nothing_of_the_allowance() -> None:
    result = catalog(INCLUDED)
    result.add("subscription", SUBSCRIPTION | {"trial_end": "2026-01-11"})
    assert amounts(Books(result, [used(3, 5000), used(15, 1001)]).close(FEBRUARY)) == ["usage c 0.00", "usage c 0.01"]


def test_late_usage_of_the_first_part_changes_what_the_second_costs() -> None:
    result = catalog(INCLUDED)
    result.add("subscription", override(DEARER))
    books = Books(result, [used(3, 600), used(20, 1400), used(5, 300, close=2), used(6, 200, close=3)])
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
    result = catalog(INCLUDED, included="whole", tiers="reset")
    result.add("subscription", override(DEARER))
    books = Books(result, [used(3, 600), used(20, 1400), used(5, 500, close=2)])
    (january,) = books.close(FEBRUARY)
    assert all("split" not in line.price for line in january.lines)
    result.add("plan", plan(INCLUDED))  # the newest version shares; what is billed does not
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
    further_document = {
        "included_units": str(draw(st.integers(0, 40))),
        "maximum_amount": str(draw(st.integers(0, 60))),
    }
    return (
        {"model": model}
        | fields
        | {name: further_document[name] for name in draw(st.sets(st.sampled_from(sorted(further_document))))}
    )


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
    result = catalog(versions[0], included=included, tiers=tiers)
    for number, price in enumerate(versions[1:]):
        result.add("subscription", override(price, f"2026-0{1 + number // 2}-{10 + number * 5}"))
    late = Books(result, [used(day, quantity, close=close + 1 if close else 0) for day, quantity, close in events])
    prompt = Books(result, [used(day, quantity) for day, quantity, _ in events])
    for as_of_us in (FEBRUARY, MARCH, APRIL, APRIL + 30 * DAY):
        late.close(as_of_us)
        prompt.close(as_of_us)
    assert by_part(late.standing) == by_part(prompt.standing)


TOP = {"product": "top", "price": {"model": "per_unit", "unit_amount": "5", "included_units": "10"}}


def test_a_highest_value_is_billed_once_where_another_price_of_the_plan_changes() -> None:
    """12 in both halves, 10 of them included: 10.00 as without the change, not 10.00 a part."""
    result = catalog(INCLUDED, [TOP])
    events = [used(3, 12), used(20, 12)]
    assert amounts(Books(result, events).close(FEBRUARY)) == ["usage c 0.00", "usage top 10.00"]
    result.add("subscription", override(DEARER))
    (january,) = Books(result, events).close(FEBRUARY)
    assert amounts([january]) == ["usage c 0.00", "usage top 10.00", "usage c 0.00"]
    assert (january.lines[1].period_start, january.lines[1].period_end) == (JANUARY, FEBRUARY)
    assert verified([january], result.catalog) == []


def top_lines(*versions: tuple[str, dict[str, Any]], events: list[Used], charge: dict[str, Any] | None = None) -> Any:
    """January's lines of the highest value; ``versions``: (change_at, what the subscription says from then on)."""
    result = catalog(INCLUDED, [TOP | (charge or {})])
    result.add("plan", plan(INCLUDED, "pro", [TOP | {"price": TOP["price"] | {"unit_amount": "8"}} | (charge or {})]))
    for at, body in versions:
        result.add("subscription", SUBSCRIPTION | body | {"change_at": at})
    (january,) = Books(result, events).close(FEBRUARY)
    return [line for line in january.lines if line.charge == "top"]


def dearer_top(unit_amount: str = "6", **price: Any) -> dict[str, Any]:
    return {"overrides": [{"charge": "top", "price": TOP["price"] | {"unit_amount": unit_amount} | price}]}


HALVES = [used(3, 12), used(20, 12)]


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([("2026-01-15", dearer_top())], "11.10"),  # 2 beyond the 10: 5.00 for 14 of 31 days, 6.00 for 17
        ([("2026-01-15", dearer_top("5"))], "10.00"),  # the same price
        ([("2026-01-15", dearer_top(included_units="12"))], "4.52"),  # 10.00 for 14 days, nothing for 17
        ([("2026-01-15", {"plan": "pro"})], "13.29"),  # 5.00 and 8.00
        ([("2026-01-11", dearer_top()), ("2026-01-21", dearer_top("7"))], "12.06"),  # 10, 10 and 11 days
        ([("2026-01-11", dearer_top("7")), ("2026-01-21", {})], "11.29"),  # and back
    ],
)
def test_a_highest_value_is_measured_and_billed_once_where_its_own_price_changes(
    versions: list[tuple[str, dict[str, Any]]], expected: str
) -> None:
    """Whoever was there in all parts is not charged once a part: each price counts by how long it held."""
    (line,) = top_lines(*versions, events=HALVES)
    assert (line.quantity, line.amount, line.period_start, line.period_end) == ("12", expected, JANUARY, FEBRUARY)
    cells = {(): Fraction(12)}
    assert independent_cost(json.loads(line.price), cells, 2) == Fraction(line.unrounded)
    assert sum(Decimal(step["amount"]) for step in json.loads(line.steps)) == Decimal(line.unrounded)
    prices = prices_in_time(parse_price(json.loads(line.price), "USD"))
    if len(prices) > 1:
        assert sum(seconds for _, seconds in prices) == Decimal(FEBRUARY - JANUARY) / 10**6


def test_a_user_who_is_active_in_both_parts_is_charged_once() -> None:
    """100 users, of whom 60 come again after the price changed on 16 January."""
    users = {"product": "users", "price": {"model": "per_unit", "unit_amount": "0.10"}}
    result = catalog(INCLUDED, [users])
    dearer = [{"charge": "users", "price": users["price"] | {"unit_amount": "0.20"}}]
    result.add("subscription", SUBSCRIPTION | {"overrides": dearer, "change_at": "2026-01-16"})
    events = [used(3, number) for number in range(80)] + [used(20, number) for number in range(20, 100)]
    (january,) = Books(result, events).close(FEBRUARY)
    (line,) = [line for line in january.lines if line.charge == "users"]
    assert (line.quantity, line.amount) == ("100", "15.16")  # 10.00 for 15 of 31 days, 20.00 for 16


def test_a_charge_that_begins_anew_measures_and_prices_each_part_for_itself() -> None:
    for versions in ([("2026-01-15", dearer_top())], [("2026-01-15", {"plan": "pro"})]):
        lines = top_lines(*versions, events=[used(3, 12), used(20, 11)], charge={"tiers": "reset"})
        assert [line.quantity for line in lines] == ["12", "11"]
        assert lines[0].amount == "10.00"


def test_what_is_included_is_prorated_in_a_short_period_only_where_the_charge_says_so() -> None:
    """From 11 January on, 21 of 31 days; the price changes on the 21st."""
    for choice, expected in ((None, "11.05"), ("whole", "11.05"), ("prorated", "28.87")):
        start = {"start": "2026-01-11T00:00:00Z"}
        (line,) = top_lines(
            ("2026-01-11", start), ("2026-01-21", dearer_top() | start), events=HALVES[1:], charge={"included": choice}
        )
        assert (line.period_start, line.amount) == (JANUARY + 10 * DAY, expected)


def test_a_trial_s_part_of_a_highest_value_stands_alone_and_is_not_billed() -> None:
    trial = {"trial_end": "2026-01-11"}
    lines = top_lines(("2026-01-01", trial), ("2026-01-21", dearer_top() | trial), events=[used(3, 40), *HALVES[1:]])
    assert [(line.amount, line.quantity) for line in lines] == [("0.00", "40"), ("11.05", "12")]


def test_late_usage_of_any_part_adjusts_the_line_of_all_of_them_once() -> None:
    result = catalog(INCLUDED, [TOP])
    result.add("subscription", SUBSCRIPTION | dearer_top() | {"change_at": "2026-01-15"})
    late_events = [used(3, 12), used(20, 11), used(25, 14, close=2)]
    books = Books(result, late_events)
    books.close(FEBRUARY)
    (february,) = books.close(MARCH)
    (change,) = [line for line in february.lines if line.kind == "adjustment"]
    assert (change.quantity, change.amount) == ("14", "11.09")  # 22.19 for 4 beyond it, less 11.10
    assert "by_time" in change.price
    assert verified(books.standing.chain("air", "s"), result.catalog) == []


def test_a_minimum_of_a_highest_value_stays_whole_where_another_price_changes() -> None:
    result = catalog(INCLUDED, [TOP | {"price": TOP["price"] | {"minimum_amount": "40"}}])
    result.add("subscription", override(DEARER))
    (january,) = Books(result, [used(3, 12)]).close(FEBRUARY)
    assert amounts([january]) == ["usage c 0.00", "usage top 40.00", "usage c 0.00"]
