"""A price of the catalog or of an invoice line is parsed once, however often it is asked for."""

from __future__ import annotations

import json

import pytest

from schemas.catalog.models import Plan
from schemas.prices import PriceError, parse_price, pinned_price, price_in

PER_UNIT = {"model": "per_unit", "unit_amount": "0.01"}
MATRIX = {"model": "matrix", "dimensions": ["region"], "cells": [{"values": ["eu"], "unit_amount": "1"}]}


def test_a_charge_has_one_price_object_in_a_currency() -> None:
    plan = Plan.model_validate({"code": "p", "currency": "USD", "charges": [{"product": "calls", "price": PER_UNIT}]})
    (charge,) = plan.charges
    price = price_in(charge.price, "USD")
    assert price == parse_price(PER_UNIT, "USD")
    assert price_in(charge.price, "USD") is price
    assert price_in(charge.price) == parse_price(PER_UNIT)


def test_equal_json_in_two_entries_is_two_prices_that_are_equal() -> None:
    left, right = dict(MATRIX), dict(MATRIX)
    assert price_in(left, "USD") == price_in(right, "USD")
    assert price_in(left, "USD") is not price_in(right, "USD")


def test_lines_with_the_same_text_share_their_price_in_each_currency() -> None:
    text = json.dumps(MATRIX)
    dollars = pinned_price(text, "USD")
    assert pinned_price(json.dumps(MATRIX), "USD") is dollars
    assert pinned_price(text, "EUR").currency == "EUR"
    assert dollars.currency == "USD"


@pytest.mark.parametrize("_", ["first", "again"])
def test_what_is_no_price_is_refused_every_time(_: str) -> None:
    with pytest.raises(PriceError, match=r"price\.model"):
        price_in({"model": "none"}, "USD")
    with pytest.raises(PriceError, match="plan's EUR"):
        pinned_price(json.dumps({**PER_UNIT, "currency": "USD"}), "EUR")
    with pytest.raises(ValueError, match="Expecting value"):
        pinned_price("no price", "USD")
