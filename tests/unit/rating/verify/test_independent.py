"""The second opinion of ``weir verify --invoices``: other arithmetic and other matching, and the same answers."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing import MatrixQuantity, parse_price, rate
from rating.pricing.exact import share
from rating.pricing.split_charges import Quantity, rate_parts
from rating.verify.independent.event_totals import EventMeasure, Fold, Raw, dimension_values, measure_of, parse
from rating.verify.independent.price_arithmetic import cost, rounded
from rating.verify.independent.split_numbers import PlainPart, pinned, splits
from schemas.catalog.meters import Filter
from schemas.catalog.profiles import ProfileVersion
from schemas.matching.rules import Matched, Matcher
from schemas.values.quantity import unscaled
from schemas.values.record_copy import replace

amounts = st.decimals(-50, 50, places=4).map(str)
positive = st.decimals("0.01", 40, places=2).map(str)
small = st.decimals(0, 30, places=2).map(str)
texts = st.sampled_from(["", "a", "b"])


SPLIT = ("included_before", "free_before", "priced_before", "package_left", "amount_before", "priced_after")


@st.composite
def tiers(draw: st.DrawFn, each: str) -> list[dict[str, Any]]:
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=4)))
    return [
        {"up_to": None if bound is None else str(bound), each: draw(small), "flat_amount": draw(small)}
        for bound in [*bounds, None]
    ]


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    cells = st.dictionaries(st.tuples(texts, texts), amounts, min_size=1, max_size=4)
    model: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries({"model": st.just("flat"), "amount": amounts}),
            st.fixed_dictionaries({"model": st.just("per_unit"), "unit_amount": amounts}),
            st.fixed_dictionaries({"model": st.sampled_from(["tiered", "volume"]), "tiers": tiers("unit_amount")}),
            st.fixed_dictionaries({"model": st.just("tiered_percentage"), "tiers": tiers("rate")}),
            st.fixed_dictionaries(
                {"model": st.just("package"), "package_size": positive, "package_amount": amounts, "free_units": small}
            ),
            st.fixed_dictionaries(
                {"model": st.just("percentage"), "rate": amounts, "fixed_amount": amounts, "free_units": small}
            ),
            st.fixed_dictionaries(
                {
                    "model": st.just("matrix"),
                    "dimensions": st.just(["x", "y"]),
                    "cells": cells,
                    "included_order": st.sampled_from(["in_order", "cheapest first", "dearest_first", "pro rata"]),
                },
                optional={"default_unit_amount": amounts},
            ),
        )
    )
    if model["model"] == "matrix":
        model["cells"] = [{"values": list(values), "unit_amount": unit} for values, unit in model["cells"].items()]
    low, high = sorted(map(Decimal, (draw(small), draw(small))))
    extra = {
        "included_units": draw(small), "minimum_amount": str(low), "maximum_amount": str(high), "trial": True,
        "proration": {"part_seconds": str(draw(st.integers(1, 100))), "whole_seconds": "101"},
        "included_proration": {"part_seconds": str(draw(st.integers(1, 100))), "whole_seconds": "101"},
        "split": {"of": "p"} | draw(st.fixed_dictionaries({}, optional=dict.fromkeys(SPLIT, small))),
    }  # fmt: skip
    return model | {name: extra[name] for name in draw(st.sets(st.sampled_from(sorted(extra))))}


@given(prices(), st.dictionaries(st.tuples(texts, texts), st.decimals(-9, 90, places=3), max_size=5), st.integers(0, 7))
def test_every_price_costs_the_same_by_other_arithmetic(
    written: dict[str, Any], quantities: dict[tuple[str, str], Decimal], events: int
) -> None:
    price = parse_price(written)
    quantity = sum(quantities.values(), Decimal(0))
    rated = rate(
        price,
        quantity,
        currency="KWD",
        events=Decimal(events),
        quantities=[MatrixQuantity(*item) for item in quantities.items()],
    )
    as_pinned = json.loads(json.dumps(price.model_dump(mode="json")))
    matrix = written["model"] == "matrix"
    cells = {values: Fraction(item) for values, item in quantities.items()} if matrix else {(): Fraction(quantity)}
    repeated_cost = cost(as_pinned, cells, events)
    assert repeated_cost == Fraction(rated.unrounded)
    assert rounded(repeated_cost, 3) == Fraction(rated.amount)


@st.composite
def prices_by_time(draw: st.DrawFn) -> dict[str, Any]:
    """A price with others before it, all of them of a matrix or none."""
    first_draw = draw(prices())
    own_draw_result = draw(
        prices().filter(lambda item: (item["model"] == "matrix") == (first_draw["model"] == "matrix"))
    )
    earlier = [{"price": first_draw, "seconds": str(draw(st.integers(1, 10**6)))}]
    if draw(st.booleans()):
        earlier.append({"price": first_draw | {"included_units": "3"}, "seconds": "0.000001"})
    return own_draw_result | {"by_time": {"seconds": str(draw(st.integers(1, 10**6))), "earlier": earlier}}


@given(
    prices_by_time(),
    st.dictionaries(st.tuples(texts, texts), st.decimals(-9, 90, places=3), max_size=5),
    st.integers(0, 7),
)
def test_prices_that_count_by_time_cost_the_same_by_other_arithmetic(
    written: dict[str, Any], quantities: dict[tuple[str, str], Decimal], events: int
) -> None:
    price, quantity = parse_price(written), sum(quantities.values(), Decimal(0))
    cells_of = [MatrixQuantity(*item) for item in quantities.items()]
    rated = rate(price, quantity, currency="KWD", events=Decimal(events), quantities=cells_of)
    as_pinned = json.loads(json.dumps(price.model_dump(mode="json")))
    assert parse_price(as_pinned) == price
    matrix = written["model"] == "matrix"
    cells = {values: Fraction(item) for values, item in quantities.items()} if matrix else {(): Fraction(quantity)}
    assert (
        cost(as_pinned, cells, events)
        == Fraction(rated.unrounded)
        == sum(Fraction(step.amount) for step in rated.steps)
    )
    same = written | {
        "by_time": {"seconds": "5", "earlier": [{"price": {**written, "by_time": None}, "seconds": "2.5"}]}
    }
    unsplit = rate(
        parse_price({**written, "by_time": None}), quantity, currency="KWD", events=Decimal(events), quantities=cells_of
    )
    assert rate(
        parse_price(same), quantity, currency="KWD", events=Decimal(events), quantities=cells_of
    ).unrounded == share(unsplit.unrounded, Decimal(1), Decimal(1))


@given(
    st.lists(
        st.tuples(prices(), st.dictionaries(st.tuples(texts, texts), st.decimals(-9, 90, places=3), max_size=4)),
        min_size=2,
        max_size=4,
    )
)
def test_what_parts_of_a_period_used_is_the_same_by_other_arithmetic(
    given_parts: list[tuple[dict[str, Any], dict[tuple[str, str], Decimal]]],
) -> None:
    parts = []
    for written, quantities in given_parts:
        price = parse_price({"split": {"of": "p", "priced_before": "0"}} | written | {"trial": False})
        cells = tuple(MatrixQuantity(*quantity) for quantity in quantities.items())
        parts.append((price, Quantity(sum(quantities.values(), Decimal(0)), Decimal(3), cells)))
    result = rate_parts(parts, "KWD")
    plain = []
    for (price, _), (_, quantities) in zip(result, given_parts, strict=True):
        matrix = price.model == "matrix"
        full_document = {(): Fraction(sum(quantities.values(), Decimal(0)))}
        cells = {values: Fraction(quantity) for values, quantity in quantities.items()} if matrix else full_document
        plain.append(PlainPart(json.loads(json.dumps(price.model_dump(mode="json"))), cells, 3))
    assert splits(plain) == [pinned(part.price) for part in plain]
    for part, (_, rated) in zip(plain, result, strict=True):
        assert cost(part.price, part.cells, part.events) == Fraction(rated.unrounded)


@pytest.mark.parametrize("price", [{"model": "auction"}, {"model": "flat", "amount": "1", "surcharge": "2"}])
def test_a_price_that_it_does_not_know_is_an_error_and_never_passes(price: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no independent check"):
        cost(price, {(): Fraction(1)}, 0)


scalars: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, 1, 2, True, False, None, "1", "1.0", "a", "ab", "", " 1", "1_0", "1e3"]),
    st.decimals(-5, 5, places=2),
    st.sampled_from([Decimal("1.0"), Decimal("1e2"), Decimal("0.1234567890123"), Decimal("1e27"), Decimal("1e-13")]),
)
fine = st.sampled_from(
    ["114.97809459641576", "0.0000000000005", "0.0000000000015", "-2.00000000000150", "6e-13", "1e-400",
     "99999999999999999999999999.9999999999995", "99999999999999999999999999.9999999999994"]
).map(Decimal)  # fmt: skip
values = st.one_of(
    scalars,
    fine,
    fine.map(str),
    st.lists(scalars, max_size=3),
    st.dictionaries(st.sampled_from(["q", "r"]), scalars, max_size=2),
)
properties = st.dictionaries(st.sampled_from(["p", "f", "d", "n"]), values, max_size=4)
LISTS = {"in": True, "not_in": True}
filters = st.one_of(
    st.builds(
        lambda path, operator, value: Filter(property=path, operator=operator, value=value),
        st.sampled_from([("f",), ("p",), ("n", "q")]),
        st.sampled_from(["eq", "ne", "contains"]),
        scalars,
    ),
    st.builds(
        lambda path, operator, value: Filter(property=path, operator=operator, value=value),
        st.sampled_from([("f",), ("n", "q")]),
        st.sampled_from(["in", "not_in"]),
        st.lists(scalars, min_size=1, max_size=3),
    ),
    st.builds(
        lambda operator, value: Filter(property=("f",), operator=operator, value=value),
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        st.sampled_from([0, 1, "1.5", 2.5]),
    ),
    st.builds(lambda value: Filter(property=("f",), operator="exists", value=value), st.booleans()),
    st.builds(lambda value: Filter(property=("f",), operator="starts_with", value=value), st.sampled_from(["", "a"])),
)


def encoded(value: Any) -> str:
    """JSON text with decimals as they are written."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{encoded(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encoded, value)) + "]"
    return json.dumps(value)


@given(
    properties, st.lists(filters, max_size=2),
    st.sampled_from(["sum", "count", "count_unique", "max", "min", "latest"]),
    st.integers(0, 30), st.booleans(),
)  # fmt: skip
def test_every_event_is_measured_the_same_by_other_matching(
    event: dict[str, Any], conditions: list[Filter], aggregation: Any, us: int, by_text: bool
) -> None:
    version = ProfileVersion(
        "m.p", 3, "m", "p", "", "", "e", aggregation, None if aggregation == "count" else ("p",), tuple(conditions),
        (("d",), ("n", "q")), 60, 5, 25, by_text=by_text,
    )  # fmt: skip
    text = encoded(event)
    matched = Matcher([version]).match("e", us, "key", text).matches
    own_measure_of_result = measure_of(version, Raw(us, (1, 0), 0, "e", "key", parse(text)))
    assert (own_measure_of_result is None) == (not matched)
    if own_measure_of_result is not None:
        (match,) = matched
        assert (own_measure_of_result.value, own_measure_of_result.tie) == (unscaled(match.units), match.unique_value)
        document = json.loads(match.dimensions, parse_float=Decimal)
        assert (own_measure_of_result.dimensions["d"] == "") == (document.get("d", "") == "")
        assert dimension_values(own_measure_of_result, ("d", "other")) == (own_measure_of_result.dimensions["d"], "")


@given(st.lists(st.tuples(st.integers(0, 9), st.decimals(-9, 9, places=3), st.sampled_from("ab")), min_size=1))
def test_a_fold_is_what_its_words_say(events: list[tuple[int, Decimal, str]]) -> None:
    fold = Fold()
    for us, value, name in events:
        fold.add(us, EventMeasure(value, name, name, {}))
    numbers = [value for _, value, _ in events]
    expected = {
        "count": len(events),
        "sum": sum(numbers),
        "max": max(numbers),
        "min": min(numbers),
        "count_unique": len({name for *_, name in events}),
        "latest": max((us, name, value) for us, value, name in events)[2],
    }
    assert {name: fold.quantity(name) for name in expected} == {name: Fraction(item) for name, item in expected.items()}


def test_an_event_metered_before_numbers_were_rounded_stays_as_it_was_metered() -> None:
    version = ProfileVersion("m.p", 1, "m", "p", "", "", "e", "sum", ("p",), (), (), 60, 0, 99)
    text = '{"p":114.97809459641576}'
    then = Raw(5, (1, 0), 0, "e", "k", parse(text), rounds=False)
    now = measure_of(version, replace(then, rounds=True))
    assert now is not None
    assert now.value == Decimal("114.978094596416")
    assert measure_of(version, then) is None
    exactly = measure_of(version, replace(then, properties=parse('{"p":114.5}')))  # another reason than its decimals
    assert exactly is not None
    assert Matcher([version], exactly=True).match("e", 5, "k", text) == Matched((), (("m.p", "too_many_decimals"),))
