"""Prices against tables worked out by hand. Where another system's rule differs from ours, the name says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rating.pricing import price_json

GRADUATED = [
    {"up_to": "5", "flat_amount": "100"},
    {"up_to": "10", "flat_amount": "50"},
    {"up_to": "15", "unit_amount": "5"},
    {"up_to": None, "unit_amount": "1"},
]
VOLUME = [
    {"up_to": "100", "unit_amount": "2", "flat_amount": "10"},
    {"up_to": "200", "unit_amount": "1"},
    {"up_to": None, "unit_amount": "0.5", "flat_amount": "50"},
]
PERCENTAGES = [
    {"up_to": "10", "rate": "1", "flat_amount": "200"},
    {"up_to": "20", "rate": "2", "flat_amount": "300"},
    {"up_to": None, "rate": "3", "flat_amount": "400"},
]
FRACTIONAL = [{"up_to": "0.5", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1", "flat_amount": "3"}]


def one(price: dict[str, Any], quantity: str | int | None, **extra: Any) -> dict[str, Any]:
    item = {"price": price, **extra} | ({} if quantity is None else {"quantity": quantity})
    return price_json(json.dumps(item))[0]


def amount(price: dict[str, Any], quantity: str | None, **extra: Any) -> str:
    result: str = one(price, quantity, **extra)["amount"]
    return result


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", "100.00"),  # the first tier's flat amount applies without usage
        ("0.000000000001", "100.00"),
        ("5", "100.00"),  # up_to is inclusive
        ("5.000001", "150.00"),  # the second tier is reached by any part of a unit
        ("6", "150.00"),
        ("10", "150.00"),
        ("11", "155.00"),
        ("15", "175.00"),
        ("15.5", "175.50"),
        ("22", "182.00"),
    ],
)
def test_tiered(quantity: str, expected: str) -> None:
    assert amount({"model": "tiered", "tiers": GRADUATED}, quantity) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", "10.00"),  # zero falls in the first tier, its flat amount applies
        ("1", "12.00"),
        ("100", "210.00"),
        ("100.5", "100.50"),
        ("101", "101.00"),
        ("200", "200.00"),
        ("201", "150.50"),
        ("300", "200.00"),
    ],
)
def test_volume(quantity: str, expected: str) -> None:
    assert amount({"model": "volume", "tiers": VOLUME}, quantity) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", "200.00"),
        ("1", "200.01"),
        ("10", "200.10"),
        ("11", "500.12"),
        ("12", "500.14"),
        ("20", "500.30"),
        ("21", "900.33"),
    ],
)
def test_tiered_percentage(quantity: str, expected: str) -> None:
    assert amount({"model": "tiered_percentage", "tiers": PERCENTAGES}, quantity) == expected


@pytest.mark.parametrize(("quantity", "expected"), [("0.5", "1.00"), ("0.6", "4.10"), ("2", "5.50")])
def test_fractional_bound(quantity: str, expected: str) -> None:
    assert amount({"model": "tiered", "tiers": FRACTIONAL}, quantity) == expected


@pytest.mark.parametrize(
    ("free", "quantity", "expected"),
    [
        ("0", "0", "0.00"),
        ("0", "1", "15.00"),
        ("0", "10", "15.00"),
        ("0", "10.1", "30.00"),
        ("0", "121", "195.00"),
        ("10", "10", "0.00"),
        ("10", "10.5", "15.00"),
        ("10", "121", "180.00"),
        ("200", "121", "0.00"),
    ],
)
def test_package(free: str, quantity: str, expected: str) -> None:
    price = {"model": "package", "package_size": "10", "package_amount": "15", "free_units": free}
    assert amount(price, quantity) == expected


def test_package_of_a_third_is_exact() -> None:
    price = {"model": "package", "package_size": "0.3", "package_amount": "1"}
    assert [amount(price, q) for q in ("0.9", "0.90000001", "1")] == ["3.00", "4.00", "4.00"]


@pytest.mark.parametrize(
    ("price", "quantity", "events", "expected"),
    [
        ({"rate": "1.3"}, "800", None, "10.40"),
        ({"rate": "1.3", "fixed_amount": "2", "free_units": "250"}, "800", "2", "11.15"),
        ({"rate": "0", "fixed_amount": "2"}, "800", "4", "8.00"),
        ({"rate": "1.3", "free_units": "900"}, "800", None, "0.00"),
        ({"rate": "100"}, "0.005", None, "0.01"),
    ],
)
def test_percentage(price: dict[str, Any], quantity: str, events: str | None, expected: str) -> None:
    assert amount({"model": "percentage", **price}, quantity, events=events) == expected


@pytest.mark.parametrize(
    ("price", "quantity", "expected"),
    [
        ({"model": "flat", "amount": "9.99"}, "0", "9.99"),
        ({"model": "flat", "amount": "9.99"}, None, "9.99"),
        ({"model": "per_unit", "unit_amount": "0.005"}, "1", "0.01"),
        ({"model": "per_unit", "unit_amount": "-0.005"}, "1", "-0.01"),
        ({"model": "per_unit", "unit_amount": "-0.001"}, "1", "0.00"),
        ({"model": "per_unit", "unit_amount": "0.0049999999999999999999"}, "1", "0.00"),
        ({"model": "per_unit", "unit_amount": "0.5", "currency": "JPY"}, "1", "1"),
        ({"model": "per_unit", "unit_amount": "1.5", "currency": "JPY"}, "1", "2"),
        ({"model": "per_unit", "unit_amount": "2.5", "currency": "JPY"}, "1", "3"),
        ({"model": "per_unit", "unit_amount": "0.0005", "currency": "KWD"}, "1", "0.001"),
        ({"model": "per_unit", "unit_amount": "0.1", "currency": "KWD"}, "1", "0.100"),
        ({"model": "per_unit", "unit_amount": "0.00005", "currency": "CLF"}, "1", "0.0001"),
    ],
)
def test_rounding_is_half_away_from_zero_to_the_currency(price: dict[str, Any], quantity: str, expected: str) -> None:
    assert amount(price, quantity) == expected


def test_one_rounding_a_line_not_one_a_tier() -> None:
    tiers = [{"up_to": "1", "unit_amount": "0.004"}, {"up_to": None, "unit_amount": "0.004"}]
    result = one({"model": "tiered", "tiers": tiers}, "2")
    assert (result["amount"], result["unrounded"]) == ("0.01", "0.008")


@pytest.mark.parametrize(
    ("extra", "quantity", "expected", "kinds"),
    [
        ({"included_units": "100"}, "250", "15.00", ["included_units", "per_unit"]),
        ({"included_units": "100"}, "99.5", "0.00", ["included_units", "per_unit"]),
        ({"minimum_amount": "20"}, "0", "20.00", ["per_unit", "minimum"]),
        ({"minimum_amount": "20"}, "200", "20.00", ["per_unit"]),
        ({"maximum_amount": "20"}, "201", "20.00", ["per_unit", "maximum"]),
        ({"minimum_amount": "5", "maximum_amount": "5"}, "1000", "5.00", ["per_unit", "maximum"]),
        ({"minimum_amount": "5"}, "-1000", "5.00", ["negative_quantity", "per_unit", "minimum"]),
    ],
)
def test_order_of_stages(extra: dict[str, Any], quantity: str, expected: str, kinds: list[str]) -> None:
    result = one({"model": "per_unit", "unit_amount": "0.1", **extra}, quantity)
    assert (result["amount"], [step["kind"] for step in result["steps"]]) == (expected, kinds)


def test_included_units_come_off_before_free_units_and_tiers() -> None:
    package = {
        "model": "package", "package_size": "10", "package_amount": "1", "free_units": "5", "included_units": "20",
    }  # fmt: skip
    assert amount(package, "36") == "2.00"  # 36 - 20 - 5 = 11: two packages
    assert amount({"model": "tiered", "tiers": GRADUATED, "included_units": "1"}, "6") == "100.00"


MATRIX = {
    "model": "matrix",
    "dimensions": ["model", "direction"],
    "cells": [
        {"values": ["large", "out"], "unit_amount": "0.03"},
        {"values": ["large", "in"], "unit_amount": "0.01"},
    ],
    "default_unit_amount": "0.001",
}


def test_matrix() -> None:
    quantities = [
        {"values": ["small", "in"], "quantity": "1000"},
        {"values": ["large", "in"], "quantity": 10},
        {"values": ["large", "out"], "quantity": "2.5"},
        {"values": ["large", "in"], "quantity": "90"},
    ]
    result = one(MATRIX, None, quantities=quantities)
    assert result["amount"] == "2.08"  # 2.5 × 0.03 + 100 × 0.01 + 1000 × 0.001 = 2.075
    assert [(step["values"], step["quantity"]) for step in result["steps"]] == [
        (["large", "out"], "2.5"),
        (["large", "in"], "100"),
        (["small", "in"], "1000"),
    ]
    assert one(MATRIX, "1102.5", quantities=quantities[::-1]) == result


def test_values_of_a_matrix_may_be_written_as_json_numbers_and_booleans() -> None:
    price = {"model": "matrix", "dimensions": ["hd", "x"], "cells": [{"values": [True, 4], "unit_amount": "3"}]}
    for values in ([True, 4], ["true", "4"], [True, "4"]):
        assert amount(price, None, quantities=[{"values": values, "quantity": "2"}]) == "6.00"


def test_matrix_units_come_off_in_the_order_of_its_cells() -> None:
    quantities = [{"values": ["large", "in"], "quantity": "3"}, {"values": ["large", "out"], "quantity": "4"}]
    assert amount({**MATRIX, "included_units": "5"}, "7", quantities=quantities) == "0.02"


def test_matrix_clamps_each_combination() -> None:
    quantities = [{"values": ["large", "in"], "quantity": "-300"}, {"values": ["large", "out"], "quantity": "4"}]
    result = one(MATRIX, None, quantities=quantities)
    assert result["amount"] == "0.12"
    assert result["steps"][0]["text"] == "the quantity of large, in is negative, -300, and priced as zero"


def test_matrix_without_usage_costs_its_minimum() -> None:
    assert amount({**MATRIX, "minimum_amount": "7"}, "0") == "7.00"


def test_steps_tell_the_whole_story() -> None:
    assert one({"model": "tiered", "tiers": GRADUATED, "maximum_amount": "170"}, 22)["steps"][2:] == [
        {
            "kind": "tier", "tier": 3, "from": "10", "to": "15", "quantity": "5", "unit_amount": "5",
            "flat_amount": "0", "amount": "25", "text": "tier 3 (over 10 up to 15): 5 × 5 = 25",
        },
        {
            "kind": "tier", "tier": 4, "from": "15", "to": None, "quantity": "7", "unit_amount": "1",
            "flat_amount": "0", "amount": "7", "text": "tier 4 (over 15): 7 × 1 = 7",
        },
        {"kind": "maximum", "amount": "-12", "text": "maximum 170: 182 is lowered to it"},
    ]  # fmt: skip


def test_numbers_are_exact_however_they_are_written() -> None:
    # As floats 1.005 × 100 would be 100.49999999999999 and round to 100.49.
    text = '[{"price": {"model": "per_unit", "unit_amount": 1.005}, "quantity": %s}]'
    for quantity in ("1e2", "100", '"100"', "100.000", '"1E+2"'):
        assert price_json(text % quantity)[0]["unrounded"] == "100.5"
    big = "99999999999999999999999999.999999999999"
    exact = price_json(text.replace("1.005", '"0.00000000000000000001"') % f'"{big}"')[0]["unrounded"]
    assert exact == "999999.99999999999999999999999999999999"
