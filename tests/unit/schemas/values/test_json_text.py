"""JSON with exact numbers, and one text for equal values."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.values.json_text import canonical, depth, exact, is_number, normal_number, stored

NUMBER_TEXTS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.integers(), st.decimals(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


def fraction(text: str) -> Fraction:
    return Fraction(text.replace("E", "e"))


def write(value: Any) -> str:
    """JSON text that keeps every digit of a Decimal."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(write, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {write(value[key])}" for key in reversed(value)) + "}"
    return json.dumps(value)


@given(NUMBER_TEXTS)
def test_a_number_is_read_exactly(text: str) -> None:
    result = exact(text)
    assert is_number(result)
    assert Fraction(result) == fraction(text)


@given(NUMBER_TEXTS, NUMBER_TEXTS)
@example("1", "1.0")
@example("100", "1e2")
@example("0", "-0.00")
@example("1e400", "1e401")
@example("10e400", "1e401")
@example("0.1", "0.10000000000000001")
def test_one_text_for_equal_numbers_and_only_for_them(one: str, other: str) -> None:
    assert (canonical(exact(one)) == canonical(exact(other))) == (fraction(one) == fraction(other))


@given(NUMBER_TEXTS)
def test_the_normal_text_is_the_same_number_in_json(text: str) -> None:
    written = normal_number(exact(text))
    assert fraction(written) == fraction(text)
    assert normal_number(exact(written)) == written


@given(VALUES)
def test_canonical_text_is_json_for_the_same_value(value: Any) -> None:
    text = canonical(value)
    assert canonical(exact(text)) == text
    assert canonical(exact(write(value))) == text


def test_canonical_by_hand() -> None:
    assert canonical(exact('{"b": [1.0, true, null, "1"], "a": {"é": 10e-1, "d": -0.50}}')) == (
        '{"a":{"d":-0.5,"é":1},"b":[1,true,null,"1"]}'
    )
    assert len({canonical(value) for value in (1, "1", True, [1], None, "true", "null", {})}) == 8


@pytest.mark.parametrize(
    "text",
    [
        "1e99999999999999999999", "-1e99999999999999999999", "1e-99999999999999999999", "0e99999999999999999999",
        "1E+999999999999999999", "9" * 5000, "-" + "9" * 60_000, "1." + "3" * 60_000, "1e-999999999999999999",
        "0." + "0" * 60_000 + "1",
    ],
)  # fmt: skip
def test_any_number_of_json_parses_and_costs_nothing(text: str) -> None:
    began = time.perf_counter()
    properties = exact(f'{{"a":{text},"b":[{text}]}}')
    assert is_number(properties["a"])
    assert canonical(properties["a"]) == canonical(properties["b"][0])
    assert time.perf_counter() - began < 1


def test_integers_of_any_length_are_exact() -> None:
    for digits in ("18446744073709551616", "9" * 400, "9" * 5001):
        assert Decimal(exact(digits)) == Decimal(digits)
    assert isinstance(exact("12"), int)


@pytest.mark.parametrize("text", ["", "{", "nope", "01", "NaN", "Infinity", '"\\ud800"', "[1,]", "9" * 5000 + "x"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        exact(text)


def test_nesting_beyond_the_stack_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="deeper"):
        exact("[" * 100_000 + "]" * 100_000)


@given(VALUES)
def test_depth(value: Any) -> None:
    def slow(item: Any) -> int:
        if isinstance(item, dict):
            return 1 + max(map(slow, item.values()), default=0)
        if isinstance(item, list):
            return 1 + max(map(slow, item), default=0)
        return 0

    assert depth(value) == slow(value)


def test_floats_and_other_objects_have_no_canonical_text() -> None:
    for value in (1.5, object(), b"x"):
        with pytest.raises(TypeError, match="not a JSON value"):
            canonical(value)
    with pytest.raises(ValueError, match="not a finite number"):
        normal_number(Decimal("NaN"))


STORED_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(STORED_VALUES, st.booleans(), st.sampled_from(["", " ", "x", "\n", ",", "\ufeff", "\x01"]), st.integers(-1, 9))
def test_a_stored_text_is_read_as_json_loads_reads_it(value: object, in_ascii: bool, more: str, at: int) -> None:
    written = json.dumps(value, ensure_ascii=in_ascii)
    check_stored(written[:at] + more + written[at:] if at >= 0 else written + more)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": 2, "a": 3}', '"\\ud800"', "NaN", "-Infinity", "1E400", "-0", "-0.0", "1.0",
        "12345678901234567890",
        "9" * 400, "0.1e-400", "01", "1.", ".5", "+1", "'a'", '"\t"', '"\\x"', '"\\/"', '"\\u0000"', "", "[1,]",
        '{"a":}', "[" * 2_000 + "]" * 2_000, "5e-324", "1.7976931348623159e308", "9007199254740993.0", '"\ud800"',
    ],
)  # fmt: skip
def test_a_text_on_the_edge_is_read_as_json_loads_reads_it(text: str) -> None:
    check_stored(text)


def check_stored(text: str) -> None:
    try:
        expected = repr(json.loads(text))
    except (ValueError, RecursionError) as error:
        with pytest.raises(type(error)):
            stored(text)
    else:
        assert repr(stored(text)) == expected
