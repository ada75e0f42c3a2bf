"""Filters, operator by operator, against the table of DESIGN section 2."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.meters import Filter
from schemas.filters import MISSING, OPERATORS, compile_filter, lookup
from schemas.values.json_text import exact

# Property values by name; the table tells for which of them a filter holds.
VALUES: dict[str, str | None] = {
    "missing": None, "null": "null", "zero": "0", "one": "1", "one.0": "1.0", "two": "2", "-1": "-1", "big": "1e30",
    '"1"': '"1"', '"1.0"': '"1.0"', '"2"': '"2"', '"a"': '"a"', '"abc"': '"abc"', '""': '""', "true": "true",
    "false": "false", "[]": "[]", "[1]": "[1]", '["a"]': '["a"]', '["abc"]': '["abc"]', "{}": "{}",
}  # fmt: skip
ALL = frozenset(VALUES)
ONES = {"one", "one.0"}

TABLE: list[tuple[str, Any, set[str] | frozenset[str]]] = [
    ("eq", 1, ONES), ("eq", 1.0, ONES), ("eq", "1", {'"1"'}), ("eq", True, {"true"}), ("eq", None, {"null"}),
    ("eq", 0, {"zero"}), ("eq", False, {"false"}), ("eq", "", {'""'}), ("eq", [1], {"[1]"}), ("eq", [1.0], {"[1]"}),
    ("eq", {}, {"{}"}), ("eq", "missing", set()), ("eq", 10**30, {"big"}),
    ("ne", 1, ALL - ONES), ("ne", "1", ALL - {'"1"'}), ("ne", None, ALL - {"null"}), ("ne", [1], ALL - {"[1]"}),
    ("in", "a", {'"a"'}), ("in", ["a", 1], {'"a"'} | ONES), ("in", ["a", "abc"], {'"a"', '"abc"'}), ("in", [], set()),
    ("in", [None, True], {"null", "true"}), ("in", [[1]], {"[1]"}), ("in", 1, ONES),
    ("not_in", ["a", 1], ALL - {'"a"'} - ONES), ("not_in", [], ALL), ("not_in", "a", ALL - {'"a"'}),
    ("gt", 1, {"two", "big", '"2"'}), ("gte", 1, {"two", "big", '"2"', '"1"', '"1.0"'} | ONES),
    ("lt", 1, {"zero", "-1"}), ("lte", 1, {"zero", "-1", '"1"', '"1.0"'} | ONES), ("gt", "1", {"two", "big", '"2"'}),
    ("gt", 0.5, {"two", "big", '"2"', '"1"', '"1.0"'} | ONES), ("lt", 1.5, {"zero", "-1", '"1"', '"1.0"'} | ONES),
    ("exists", True, ALL - {"missing"}), ("exists", False, {"missing"}),
    ("contains", "a", {'"a"', '"abc"', '["a"]'}), ("contains", "abc", {'"abc"', '["abc"]'}), ("contains", 1, {"[1]"}),
    ("contains", "", {'"1"', '"1.0"', '"2"', '"a"', '"abc"', '""'}), ("contains", "1", {'"1"', '"1.0"'}),
    ("starts_with", "a", {'"a"', '"abc"'}), ("starts_with", "ab", {'"abc"'}), ("starts_with", "1", {'"1"', '"1.0"'}),
]  # fmt: skip


def properties_of(name: str, wrap: bool = False) -> Any:
    text = VALUES[name]
    inner = "{}" if text is None else f'{{"p":{text}}}'
    return exact(f'{{"outer":{inner}}}' if wrap else inner)


@pytest.mark.parametrize(
    ("operator", "value", "holds"), TABLE, ids=lambda part: repr(part) if not isinstance(part, set | frozenset) else ""
)
def test_table(operator: str, value: Any, holds: set[str]) -> None:
    flat = compile_filter(("p",), operator, value)
    nested = compile_filter(("outer", "p"), operator, value)
    assert {name for name in VALUES if flat(properties_of(name))} == holds
    assert {name for name in VALUES if nested(properties_of(name, wrap=True))} == holds


def test_the_table_has_every_operator() -> None:
    assert {row[0] for row in TABLE} == set(OPERATORS)


NUMBERS = st.one_of(st.integers(-5, 5), st.decimals(-5, 5, places=2))
COMPARE = {"gt": Decimal.__gt__, "gte": Decimal.__ge__, "lt": Decimal.__lt__, "lte": Decimal.__le__}


@given(st.sampled_from(sorted(COMPARE)), NUMBERS, NUMBERS, st.booleans(), st.booleans())
def test_comparisons_take_numeric_strings_for_numbers(
    operator: str, found: int | Decimal, bound: int | Decimal, quoted: bool, bound_quoted: bool
) -> None:
    text = f'"{found}"' if quoted else str(found)
    holds = compile_filter(("p",), operator, str(bound) if bound_quoted else bound)(exact(f'{{"p":{text}}}'))
    assert holds == COMPARE[operator](Decimal(found), Decimal(bound))


@given(NUMBERS, NUMBERS)
def test_equality_is_by_value_and_never_across_types(one: int | Decimal, other: int | Decimal) -> None:
    equal = compile_filter(("p",), "eq", other)
    assert equal(exact(f'{{"p":{one}}}')) == (one == other)
    assert not equal(exact(f'{{"p":"{one}"}}'))
    assert not compile_filter(("p",), "in", [str(other)])(exact(f'{{"p":{one}}}'))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_from_a_json_parser_is_the_number_that_was_written(value: float) -> None:
    assert compile_filter(("p",), "eq", value)(exact(f'{{"p":{value!r}}}'))
    assert compile_filter(("p",), "in", [{"a": value}])(exact(f'{{"p":{{"a":{value!r}}}}}'))
    assert compile_filter(("p",), "gte", value)(exact(f'{{"p":{value!r}}}'))
    assert not compile_filter(("p",), "gt", value)(exact(f'{{"p":{value!r}}}'))


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        ("like", "a", "unknown operator 'like'; known are in,"), ("gt", "a", "needs a number"),
        ("gt", None, "needs a number"),
        ("lt", True, "needs a number"), ("gte", [1], "needs a number"), ("exists", 1, "true or false"),
        ("starts_with", 1, "needs a string"), ("eq", float("nan"), "not a JSON number"),
    ],
)  # fmt: skip
def test_an_unfit_value_is_refused_with_the_remedy(operator: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_filter(("p",), operator, value)


def test_lookup_goes_through_objects_only() -> None:
    properties = exact('{"a": {"b": {"c": null}}, "l": [{"b": 1}], "a.b": 2}')
    assert lookup(properties, ("a", "b", "c")) is None
    assert lookup(properties, ("a", "x")) is MISSING
    assert lookup(properties, ("a", "b", "c", "d")) is MISSING
    assert lookup(properties, ("l", "b")) is MISSING
    assert lookup(properties, ("a.b",)) == 2
    assert repr(MISSING) == "missing"


@pytest.mark.parametrize("value", [Decimal("0.5"), Decimal("3"), [Decimal("0.25"), "a"], {"n": Decimal("1e3")}])
def test_a_filter_keeps_its_numbers_through_its_json(value: Any) -> None:
    first_filter = Filter(property=("p",), operator="eq", value=value)
    repeated_model_validate_json = Filter.model_validate_json(first_filter.model_dump_json())
    assert repeated_model_validate_json == first_filter
    assert Filter.model_validate(first_filter.model_dump(mode="json")) == first_filter


def test_a_filter_that_would_round_is_refused() -> None:
    with pytest.raises(ValueError, match="too many digits"):
        Filter(property=("p",), operator="eq", value=Decimal("0.12345678901234567890123"))


def test_exists_means_true_where_no_value_is_given() -> None:
    assert Filter(property="p", operator="exists").value is True
    assert Filter(property="p", operator="exists").property == ("p",)
