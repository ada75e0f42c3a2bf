"""Properties of pricing, and tiered and volume against an independent, obvious implementation."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.pricing import MatrixQuantity, parse_price, rate
from schemas.prices import Price

quantities = st.decimals(0, 10**26, places=12)
small = st.decimals(0, 60, places=2)
unit_amounts = st.decimals(0, 1000, places=10)
signed_amounts = st.decimals(-1000, 1000, places=10)
currencies = st.sampled_from(["JPY", "USD", "KWD"])
DIGITS = {"JPY": 0, "USD": 2, "KWD": 3}


@st.composite
def tiers(draw: st.DrawFn, flat: bool = True, amount: str = "unit_amount", descending: bool = False) -> list[Any]:
    bounds = sorted(draw(st.sets(st.decimals("0.01", 50, places=2), max_size=5)))
    unit = sorted(draw(st.lists(unit_amounts, min_size=len(bounds) + 1, max_size=len(bounds) + 1)), reverse=descending)
    if not descending:
        unit = draw(st.permutations(unit))
    return [
        {"up_to": bound, amount: value, "flat_amount": draw(unit_amounts) if flat else "0"}
        for bound, value in zip([*bounds, None], unit, strict=True)
    ]


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    model: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries({"model": st.just("flat"), "amount": signed_amounts}),
            st.fixed_dictionaries({"model": st.just("per_unit"), "unit_amount": signed_amounts}),
            st.fixed_dictionaries({"model": st.sampled_from(["tiered", "volume"]), "tiers": tiers()}),
            st.fixed_dictionaries({"model": st.just("tiered_percentage"), "tiers": tiers(amount="rate")}),
            st.fixed_dictionaries(
                {
                    "model": st.just("package"),
                    "package_size": st.decimals("0.01", 50, places=2),
                    "package_amount": signed_amounts,
                    "free_units": small,
                }
            ),
            st.fixed_dictionaries(
                {
                    "model": st.just("percentage"),
                    "rate": signed_amounts,
                    "fixed_amount": signed_amounts,
                    "free_units": small,
                }
            ),
        )
    )
    low, high = sorted([draw(small), draw(small)])
    extra = draw(st.sets(st.sampled_from(["included_units", "minimum_amount", "maximum_amount"])))
    values = {"included_units": draw(small), "minimum_amount": low, "maximum_amount": high}
    return model | {key: values[key] for key in extra}


def price_of(quantity: Decimal, price: Price, currency: str = "USD") -> Decimal:
    return rate(price, quantity, currency=currency, events=Decimal(3)).unrounded


@given(prices(), st.one_of(small, quantities, st.decimals(-50, 0, places=3)), currencies)
def test_steps_sum_to_unrounded_and_rounding_is_half_away(obj: Any, quantity: Decimal, currency: str) -> None:
    rated = rate(parse_price(obj), quantity, currency=currency, events=Decimal(3))
    assert sum((Fraction(step.amount) for step in rated.steps), Fraction(0)) == Fraction(rated.unrounded)
    scaled = abs(Fraction(rated.unrounded)) * 10 ** DIGITS[currency]
    away = (scaled + Fraction(1, 2)).__floor__() * (1 if rated.unrounded >= 0 else -1)
    assert Fraction(rated.amount) * 10 ** DIGITS[currency] == away
    written = rated.as_json()
    assert sum(Fraction(step["amount"]) for step in written["steps"]) == Fraction(written["unrounded"])
    assert not any("E" in step["amount"] for step in written["steps"])
    assert len(written["amount"].partition(".")[2]) == DIGITS[currency]
    assert bool(rated.notes) == (quantity < 0)


@given(prices(), st.decimals(-(10**9), -1, places=3))
def test_negative_quantity_is_priced_as_zero(obj: Any, quantity: Decimal) -> None:
    price = parse_price(obj)
    assert price_of(quantity, price) == price_of(Decimal(0), price)


@given(prices())
def test_json_round_trip_is_canonical(obj: Any) -> None:
    price = parse_price(obj)
    repeated_parse_price = parse_price(price.model_dump(mode="json"))
    assert repeated_parse_price == price
    assert repeated_parse_price.model_dump_json() == price.model_dump_json()
    padded = {key: zero_padded(value) if isinstance(value, Decimal) else value for key, value in obj.items()}
    assert parse_price(padded).model_dump_json() == price.model_dump_json()


def zero_padded(number: Decimal) -> str:
    text = format(number, "f")
    return text + ("0" if "." in text else ".0")


def obvious_tiered(parts: list[Any], quantity: Decimal, whole: bool) -> Fraction:
    """Both tiered models over exact fractions, from the definition: which tiers are reached, and by how much."""
    total, below = Fraction(0), Fraction(0)
    for index, tier in enumerate(parts):
        above = Fraction(quantity) if tier["up_to"] is None else Fraction(tier["up_to"])
        inside = max(min(Fraction(quantity), above) - below, Fraction(0))
        reached = index == 0 or Fraction(quantity) > below
        last_value = tier["up_to"] is None or Fraction(quantity) <= above
        if whole and reached and last_value:
            return Fraction(quantity) * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])
        if not whole and reached:
            total += inside * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])
        below = above
    return total


@given(tiers(), st.data())
def test_tiered_and_volume_equal_the_obvious_implementation(parts: list[Any], data: st.DataObject) -> None:
    edges = [tier["up_to"] for tier in parts if tier["up_to"] is not None]
    quantity = data.draw(st.one_of(small, quantities, st.sampled_from(edges) if edges else small))
    for model in ("tiered", "volume"):
        price = parse_price({"model": model, "tiers": parts})
        assert Fraction(price_of(quantity, price)) == obvious_tiered(parts, quantity, whole=model == "volume")


@given(tiers(), small, small)
def test_graduated_prices_are_monotone(parts: list[Any], one: Decimal, other: Decimal) -> None:
    price = parse_price({"model": "tiered", "tiers": parts})
    assert price_of(min(one, other), price) <= price_of(max(one, other), price)


@given(st.decimals("0.01", 50, places=2), unit_amounts, small, small, small)
def test_packages_are_monotone(size: Decimal, each: Decimal, free: Decimal, one: Decimal, other: Decimal) -> None:
    price = parse_price({"model": "package", "package_size": size, "package_amount": each, "free_units": free})
    assert price_of(min(one, other), price) <= price_of(max(one, other), price)


@given(tiers(flat=False))
def test_graduated_price_is_continuous_at_its_edges(parts: list[Any]) -> None:
    price = parse_price({"model": "tiered", "tiers": parts})
    tick = Decimal("0.000000000001")
    steepest = max(tier["unit_amount"] for tier in parts)
    for tier in parts[:-1]:
        edge = tier["up_to"]
        at, past = price_of(edge, price), price_of(edge + tick, price)
        assert 0 <= past - at <= steepest * tick


@given(tiers(flat=False, descending=True), small)
def test_with_falling_prices_volume_never_costs_more_than_graduated(parts: list[Any], quantity: Decimal) -> None:
    graduated = price_of(quantity, parse_price({"model": "tiered", "tiers": parts}))
    assert price_of(quantity, parse_price({"model": "volume", "tiers": parts})) <= graduated


@given(st.dictionaries(st.sampled_from("abcdef"), small, max_size=6), small, st.randoms())
def test_matrix_does_not_depend_on_the_order_of_quantities(
    split: dict[str, Decimal], included: Decimal, random: Any
) -> None:
    cells = [{"values": [value], "unit_amount": index} for index, value in enumerate("dbf", 2)]
    price = parse_price(
        {
            "model": "matrix",
            "dimensions": ["d"],
            "cells": cells,
            "default_unit_amount": "1",
            "included_units": included,
        }
    )
    parts = [MatrixQuantity((value,), quantity) for value, quantity in split.items()]
    total = sum(split.values(), Decimal(0))
    rated = rate(price, total, currency="USD", quantities=parts)
    random.shuffle(parts)
    assert rate(price, total, currency="USD", quantities=parts) == rated
    assert sum(step.quantity or 0 for step in rated.steps if step.kind == "cell") == rated.billable
    assert rated.billable == max(total - included, Decimal(0))
