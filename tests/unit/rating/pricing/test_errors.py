"""What is wrong with a price is said in one line a problem, with its place and a remedy."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from rating.pricing import MatrixQuantity, price_json, rate
from schemas.prices import PriceError, exact_decimal, parse_price, plain
from schemas.values.currency import exponent

T1 = {"up_to": "10", "unit_amount": "1"}
OPEN = {"up_to": None, "unit_amount": "1"}
CELL = {"values": ["eu"], "unit_amount": "1"}


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (3, "price: a number is not a price"),
        ({}, "price.model: is missing; use one of flat, "),
        ({"model": "graduated"}, "price.model: 'graduated' is no price model; use one of"),
        ({"model": "flat"}, "price.amount: is missing"),
        ({"model": "flat", "amount": None}, "price.amount: is missing"),
        ({"model": "flat", "amount": "1", "amuont": "2"}, "price.amuont: unknown field; known here: model, "),
        ({"model": "flat", "amount": 0.1}, "price.amount: 0.1 is a float"),
        ({"model": "flat", "amount": True}, "price.amount: True is not a decimal number"),
        ({"model": "flat", "amount": "NaN"}, "price.amount: 'NaN' is not a decimal number"),
        ({"model": "flat", "amount": Decimal("Infinity")}, "price.amount: Infinity is not a finite number"),
        ({"model": "flat", "amount": "1e999999"}, "price.amount: '1E+999999' has more than 38 digits"),
        ({"model": "flat", "amount": "1e-39"}, "price.amount: '1E-39' has more than 38 digits"),
        ({"model": "flat", "amount": "1" * 39}, "has more than 38 digits; write a shorter number"),
        ({"model": "flat", "amount": "1_000"}, "price.amount: '1_000' is not a decimal number"),
        ({"model": "flat", "amount": "١"}, "price.amount: '١' is not a decimal number"),
        ({"model": "flat", "amount": "1", "currency": "usd"}, "price.currency: 'usd' is not an ISO 4217"),
        ({"model": "flat", "amount": "1", "currency": "XAU"}, "price.currency: XAU has no minor unit"),
        ({"model": "flat", "amount": "1", "currency": "EUR"}, "price.currency: EUR is not the plan's USD"),
        (
            {"model": "flat", "amount": "1", "minimum_amount": "5", "maximum_amount": "4"},
            "price.minimum_amount: 5 is above maximum_amount 4",
        ),
        ({"model": "flat", "amount": "1", "minimum_amount": "-5"}, "price.minimum_amount: -5 is negative"),
        ({"model": "flat", "amount": "1", "included_units": "-5"}, "price.included_units: -5 is negative"),
        ({"model": "package", "package_size": "0", "package_amount": "1"}, "price.package_size: 0 is not above 0"),
        ({"model": "tiered", "tiers": []}, "price.tiers: there are no tiers"),
        ({"model": "tiered", "tiers": {}}, "price.tiers: an object where a JSON list belongs"),
        ({"model": "tiered", "tiers": [T1]}, "price.tiers.0.up_to: the last tier must be open; write null"),
        ({"model": "tiered", "tiers": [OPEN, OPEN]}, "price.tiers.0.up_to: null, but only the last tier is open"),
        ({"model": "tiered", "tiers": [T1, T1, OPEN]}, "price.tiers.1.up_to: 10 is not above 10"),
        ({"model": "volume", "tiers": [{**T1, "up_to": "0"}, OPEN]}, "price.tiers.0.up_to: 0 is not above 0"),
        ({"model": "volume", "tiers": [T1, {"up_to": None}]}, "price.tiers.1: the tier has no amount"),
        ({"model": "volume", "tiers": [{**OPEN, "upto": 1}]}, "price.tiers.0.upto: unknown field; known here: up_to,"),
        ({"model": "tiered_percentage", "tiers": [OPEN]}, "price.tiers.0.unit_amount: unknown field; known here: up"),
        ({"model": "matrix", "dimensions": [], "cells": [CELL]}, "price.dimensions: there are none"),
        ({"model": "matrix", "dimensions": ["a", "a"], "default_unit_amount": 1}, "price.dimensions: a dimension"),
        ({"model": "matrix", "dimensions": ["a"]}, "price.cells: there are none"),
        ({"model": "matrix", "dimensions": ["a", "b"], "cells": [CELL]}, "price.cells.0.values: 1 given for 2"),
        ({"model": "matrix", "dimensions": ["a"], "cells": [CELL, CELL]}, "price.cells.1.values: the same values"),
    ],
)
def test_refused_with_place_and_remedy(price: Any, expected: str) -> None:
    with pytest.raises(PriceError) as caught:
        parse_price(price, "USD")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("price")
    assert all(("\n" not in problem and "; " in problem) or "belongs" in problem for problem in caught.value.problems)


def test_every_problem_has_its_line() -> None:
    tiers = [{"up_to": "5", "unit_amount": "x"}, {"up_to": "-1", "unit_amount": "1"}, {"up_to": None, "rate": "1"}]
    with pytest.raises(PriceError) as caught:
        parse_price({"model": "tiered", "tiers": tiers, "currency": "EURO"})
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "price.currency",
        "price.tiers.0.unit_amount",
        "price.tiers.1.up_to",
        "price.tiers.2.rate",
    ]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, "price: is missing"),
        ([], "price: is missing"),
        ({"price": {"model": "per_unit", "unit_amount": "1"}}, "quantity: is missing"),
        ({"price": {"model": "per_unit", "unit_amount": "1"}, "quantity": "many"}, "quantity: 'many' is not a decimal"),
        ({"price": {"model": "flat", "amount": "1"}, "discount": "1"}, "discount: unknown field"),
        ({"price": {"model": "flat", "amount": "1"}, "currency": "BTC"}, "currency: 'BTC' is not an ISO 4217"),
        ({"price": {"model": "flat", "amount": "1"}, "events": "-1"}, "events: -1 is not a count"),
        ({"price": {"model": "percentage", "rate": "1", "fixed_amount": "1"}, "quantity": 1}, "events: is missing"),
        (
            {"price": {"model": "matrix", "dimensions": ["r"], "cells": [CELL]}, "quantity": "1"},
            "quantities: they sum to 0, the quantity is 1",
        ),
        (
            {
                "price": {"model": "matrix", "dimensions": ["r"], "cells": [CELL]},
                "quantities": [{"values": ["us"], "quantity": "1"}],
            },
            "quantities: no cell for r=us; add it to price.cells or give default_unit_amount",
        ),
        (
            {
                "price": {"model": "matrix", "dimensions": ["r"], "cells": [CELL]},
                "quantities": [{"values": ["us", "x"], "quantity": "1"}],
            },
            "quantities.0.values: 2 given",
        ),
    ],
)
def test_items_of_weir_price(item: Any, expected: str) -> None:
    good = {"price": {"model": "flat", "amount": "1"}}
    with pytest.raises(PriceError) as caught:
        price_json(json.dumps([good, item]))
    assert str(caught.value).startswith(f"[1].{expected}")
    if isinstance(item, dict):
        with pytest.raises(PriceError) as caught:
            price_json(json.dumps(item))
        assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("text", ["", "nope", "{", '{"price": NaN}'])
def test_not_json(text: str) -> None:
    with pytest.raises(PriceError, match="this is not JSON"):
        price_json(text)


def test_an_exponent_beyond_reading_is_refused_by_place() -> None:
    text = '[{"price": {"model": "per_unit", "unit_amount": "1"}, "quantity": 1e99999999999999999999}]'
    with pytest.raises(PriceError, match=r"\[0\]\.quantity: .* has more than 76 digits"):
        price_json(text)


def test_one_currency_a_line() -> None:
    euros = parse_price({"model": "flat", "amount": "1"}, "EUR")
    with pytest.raises(PriceError, match=r"price\.currency: EUR is not USD"):
        rate(euros, Decimal(1), currency="USD")


def test_rate_refuses_what_is_not_finite() -> None:
    price = parse_price({"model": "matrix", "dimensions": ["r"], "cells": [CELL]})
    with pytest.raises(PriceError, match="quantity: NaN is not a finite number"):
        rate(price, Decimal("NaN"), currency="USD")
    with pytest.raises(PriceError, match=r"quantities\.0\.quantity: Infinity is not finite"):
        rate(price, Decimal(1), currency="USD", quantities=[MatrixQuantity(("eu",), Decimal("Infinity"))])


def test_exponents_of_iso_4217() -> None:
    assert [exponent(code) for code in ("JPY", "USD", "KWD", "CLF", "ISK")] == [0, 2, 3, 4, 0]
    for code, remedy in (("usd", "write USD"), (" EUR", "write EUR"), ("XTS", "no minor unit"), ("", "such as USD")):
        with pytest.raises(ValueError, match=remedy):
            exponent(code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-0.000", "0"), ("1E+3", "1000"), ("10.500", "10.5"), ("1e-7", "0.0000001"), ("100", "100"), (".5", "0.5")],
)
def test_plain_text_of_decimals(text: str, expected: str) -> None:
    assert plain(Decimal(text)) == plain(exact_decimal(text)) == expected
