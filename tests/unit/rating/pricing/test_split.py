"""A period that a change of price has split: what parts share and where they go on, by hand and against the whole
period."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.amounts.unpriced_values import LaterPrice, completed
from rating.pricing import MatrixQuantity, parse_price, rate
from rating.pricing.split_charges import Quantity, rate_parts
from schemas.prices import MatrixPrice, Price

SHARED = {"of": "p", "included_before": "0", "priced_before": "0"}
TIERS = [{"up_to": "1000", "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.01", "flat_amount": "5"}]
INCLUDED = {"model": "per_unit", "unit_amount": "0.01", "included_units": "1000"}


def split(*prices: dict[str, Any], how: dict[str, Any] = SHARED) -> list[Price]:
    """The first part stands before all others, which go on as ``how`` says."""
    first_document = {"of": "p"}
    return [
        parse_price(price | {"split": how if number else first_document}, "USD") for number, price in enumerate(prices)
    ]


def rated(prices: list[Price], *quantities: Any, events: int = 3) -> list[tuple[Price, Any]]:
    item = [Quantity(Decimal(quantity), Decimal(events)) for quantity in quantities]
    return rate_parts(list(zip(prices, item, strict=True)), "USD")


def amounts(*given: Any, **extra: Any) -> list[str]:
    return [str(item.amount) for _, item in rated(*given, **extra)]


def test_the_issues_example_an_allowance_of_1000_a_price_changed_in_mid_month_and_2000_used() -> None:
    dearer = INCLUDED | {"unit_amount": "0.02"}
    result = rated(split(INCLUDED, dearer), 1000, 1000)
    assert [item.amount for _, item in result] == [0, 20]
    assert (
        result[1][1].steps[0].text
        == "0 of 1000 included units used (1000 by earlier parts of the period); 1000 left to price"
    )
    result = rated(split({"model": "tiered", "tiers": TIERS}, {"model": "tiered", "tiers": TIERS}), 600, 1400)
    assert [item.amount for _, item in result] == [0, 15]
    assert [step.text for step in result[1][1].steps] == [
        "tiers count the whole period: 600 before this part",
        "tier 1 (from 0 up to 1000): 400 × 0 = 0",
        "tier 2 (over 1000): 1000 × 0.01 + 5 flat = 15",
    ]


@pytest.mark.parametrize(
    ("prices", "quantities", "expected"),
    [
        # Another allowance: what is left of the one that holds, less what was taken, never what was paid for.
        ([INCLUDED, INCLUDED | {"included_units": "3000"}], (1500, 2500), ["5.00", "5.00"]),
        ([INCLUDED, INCLUDED | {"included_units": "500"}], (800, 100), ["0.00", "1.00"]),
        ([INCLUDED] * 3, (400, 400, 400), ["0.00", "0.00", "2.00"]),
        # Started packages are used up first, whatever the size of those that follow.
        ([{"model": "package", "package_size": "10", "package_amount": "4"}] * 2, (22, 9), ["12.00", "4.00"]),
        ([{"model": "package", "package_size": "10", "package_amount": "4"}] * 2, (22, 8), ["12.00", "0.00"]),
        (
            [
                {"model": "package", "package_size": "10", "package_amount": "4", "free_units": "5"},
                {"model": "package", "package_size": "100", "package_amount": "30", "free_units": "5"},
            ],
            (22, 50),
            ["8.00", "30.00"],
        ),
        ([{"model": "percentage", "rate": "10", "free_units": "50", "fixed_amount": "1"}] * 2, (30, 40),
            ["3.00", "5.00"]),
        # Volume: all parts at the tier of the whole; its flat amount once.
        (
            [
                {"model": "volume", "tiers": [{"up_to": "10", "unit_amount": "2", "flat_amount": "1"},
                    {"up_to": None, "unit_amount": "1", "flat_amount": "3"}]}
            ] * 2,
            (8, 4),
            ["11.00", "4.00"],
        ),
        ([{"model": "per_unit", "unit_amount": "1", "maximum_amount": "10"}] * 2, (8, 8), ["8.00", "2.00"]),
        ([{"model": "per_unit", "unit_amount": "1", "minimum_amount": "10"}] * 2, (2, 8), ["10.00", "8.00"]),
        ([{"model": "per_unit", "unit_amount": "1", "maximum_amount": "10"},
            {"model": "per_unit", "unit_amount": "1", "maximum_amount": "5"}], (8, 8), ["8.00", "0.00"]),
        # Tiers go on where units were priced otherwise before.
        ([{"model": "per_unit", "unit_amount": "1"}, {"model": "tiered", "tiers": TIERS}], (1500, 100),
            ["1500.00", "1.00"]),
        ([{"model": "tiered_percentage", "tiers": [{"up_to": "100", "rate": "10"}, {"up_to": None, "rate": "1"}]}] * 2,
            (80, 120), ["8.00", "3.00"]),
    ],
)  # fmt: skip
def test_what_parts_share_by_hand(
    prices: list[dict[str, Any]], quantities: tuple[int, ...], expected: list[str]
) -> None:
    assert amounts(split(*prices), *quantities) == expected


def test_each_aspect_may_begin_anew() -> None:
    price = {"model": "tiered", "tiers": TIERS, "included_units": "100"}
    assert amounts(split(price, price, how=SHARED), 1100, 1100) == ["0.00", "16.00"]
    assert amounts(split(price, price, how={"of": "p", "included_before": "0"}), 1100, 1100) == ["0.00", "6.00"]
    assert amounts(split(price, price, how={"of": "p", "priced_before": "0"}), 1100, 1100) == ["0.00", "15.00"]
    assert amounts(split(price, price, how={"of": "p"}), 1100, 1100) == ["0.00", "0.00"]


def test_a_prorated_allowance() -> None:
    part = {"part_seconds": "1", "whole_seconds": "3"}
    price = parse_price(INCLUDED | {"included_proration": part}, "USD")
    result = rate(price, Decimal(500), currency="USD")
    assert result.billable == Decimal("166.666666666667")
    assert result.steps[0].text.startswith(
        "333.333333333333 of 333.333333333333 included units used (1000 for a part of the period)"
    )


def test_included_units_of_a_matrix_go_on() -> None:
    price = {
        "model": "matrix", "dimensions": ["m"], "included_units": "10",
        "cells": [{"values": ["a"], "unit_amount": "1"}, {"values": ["b"], "unit_amount": "2"}],
    }  # fmt: skip
    first_split, second = split(price, price | {"included_order": "dearest_first"})
    cells = (MatrixQuantity(("a",), Decimal(6)), MatrixQuantity(("b",), Decimal(6)))
    result = rate_parts(
        [(first_split, Quantity(Decimal(6), None, cells[:1])), (second, Quantity(Decimal(12), None, cells))], "USD"
    )
    assert [item.amount for _, item in result] == [0, 10]


small = st.decimals(0, 60, places=2)
each = st.decimals(0, 9, places=3)


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    bounds = [*sorted(draw(st.sets(st.integers(1, 90), max_size=4))), None]

    def tiers(name: str) -> list[dict[str, Any]]:
        return [{"up_to": bound, name: draw(each), "flat_amount": draw(each)} for bound in bounds]

    model = draw(st.sampled_from(["per_unit", "tiered", "volume", "package", "percentage", "tiered_percentage"]))
    fields: dict[str, Any] = {
        "per_unit": lambda: {"unit_amount": draw(each)},
        "tiered": lambda: {"tiers": tiers("unit_amount")},
        "volume": lambda: {"tiers": tiers("unit_amount")},
        "tiered_percentage": lambda: {"tiers": tiers("rate")},
        "package": lambda: {
            "package_size": draw(st.integers(1, 20)),
            "package_amount": draw(each),
            "free_units": draw(small),
        },
        "percentage": lambda: {"rate": draw(each), "free_units": draw(small)},
    }[model]()
    if draw(st.booleans()):
        fields["included_units"] = draw(small)
    if draw(st.booleans()):
        fields["maximum_amount"] = draw(st.integers(0, 200))
    return {"model": model} | fields


@given(prices(), st.lists(small, min_size=1, max_size=5))
def test_parts_of_one_price_come_to_what_the_period_would_unsplit(price: dict[str, Any], parts: list[Decimal]) -> None:
    result = rated(split(*[price] * len(parts)), *parts)
    full_rate = rate(parse_price(price, "USD"), sum(parts, Decimal(0)), currency="USD", events=Decimal(0))
    assert sum(Fraction(item.unrounded) for _, item in result) == Fraction(full_rate.unrounded)
    assert sum(item.units_taken("included_units") for _, item in result) == full_rate.units_taken("included_units")
    for number, (pinned, item) in enumerate(result):
        repeated_parse_price = parse_price(pinned.model_dump(mode="json"))
        assert repeated_parse_price == pinned  # a line's price says all that its amount comes from
        assert rate(repeated_parse_price, parts[number], currency="USD", events=Decimal(3)) == item


@given(st.lists(st.tuples(prices(), small), min_size=2, max_size=4))
def test_rating_parts_again_from_their_pinned_prices_changes_nothing(
    parts: list[tuple[dict[str, Any], Decimal]],
) -> None:
    result = rated(split(*[price for price, _ in parts]), *[quantity for _, quantity in parts])
    assert rated([price for price, _ in result], *[quantity for _, quantity in parts]) == result


def test_a_value_that_one_of_several_prices_has_no_amount_for_waits_until_all_have() -> None:
    """Prices of a line that count by time: what is lacking is told once, and completed where it is lacking."""

    def matrix(unit_amount: str, *values: str, **extra: Any) -> dict[str, Any]:
        cells = [{"values": [value], "unit_amount": unit_amount} for value in values]
        return {"model": "matrix", "dimensions": ["d"], "cells": cells} | extra

    earlier = [{"price": matrix("2", "a"), "seconds": "10"}]
    price = parse_price(matrix("4", "a", "b", by_time={"seconds": "30", "earlier": earlier}), "USD")
    cells = (MatrixQuantity(("a",), Decimal(6), 1), MatrixQuantity(("b",), Decimal(8), 1))
    result = rate(price, Decimal(14), currency="USD", quantities=cells)
    assert [(item.values, item.quantity) for item in result.unpriced] == [(("b",), 8)]
    assert (result.amount, [step.kind for step in result.steps]) == (
        21, ["unpriced", "cell", "proration", "cell", "proration"],
    )  # fmt: skip
    later = parse_price(matrix("10", "b"), "USD")
    assert isinstance(later, MatrixPrice)
    completed_result, notes = completed(price, result.unpriced, [LaterPrice(later, "plan p version 2")])
    assert notes == ("d=b at 10, of plan p version 2",)
    result = rate(completed_result, Decimal(14), currency="USD", quantities=cells)
    assert (result.amount, result.unpriced) == (65, ())  # (6 × 2 + 8 × 10) / 4 and (6 × 4 + 8 × 4) × 3 / 4
