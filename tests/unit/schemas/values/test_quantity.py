"""Quantities as integers of 10^-12, against an obvious implementation over Decimal."""

from __future__ import annotations

import time
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.values.json_text import exact
from schemas.values.quantity import NOT_A_NUMBER, OUT_OF_RANGE, Unmeterable, is_rounded, number, scaled, unscaled

NUMBERS = st.one_of(
    st.integers(-(10**40), 10**40),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(min_value=-(10**27), max_value=10**27, places=12),
    st.decimals(min_value=-10, max_value=10, places=14),
    st.builds(lambda digits, exponent: Decimal(f"{digits}e{exponent}"), st.integers(), st.integers(-60, 60)),
)  # fmt: skip


def obvious(value: int | Decimal) -> int | str:
    """The same by Decimal arithmetic of plenty of digits."""
    context = Context(prec=2000, Emax=999_999, Emin=-999_999, traps=[Inexact])
    units = int(context.multiply(context.create_decimal(value), Decimal(10**12)).to_integral_value(ROUND_HALF_EVEN))
    return units if abs(units) < 10**38 else OUT_OF_RANGE


def measured(value: Any) -> int | str:
    try:
        return scaled(value)
    except Unmeterable as reason:
        return str(reason)


@given(NUMBERS)
@example(Decimal("99999999999999999999999999.999999999999"))
@example(Decimal("1e26"))
@example(Decimal("-1e26"))
@example(Decimal("1e-12"))
@example(Decimal("0.0000000000010"))
@example(Decimal("1e-13"))
@example(Decimal("-0e5"))
@example(Decimal("99999999999999999999999999.9999999999995"))
@example(Decimal("99999999999999999999999999.9999999999994"))
@example(Decimal("0.0000000000005"))
@example(Decimal("0.0000000000015"))
@example(Decimal("-0.00000000000050000000001"))
def test_scaled_agrees_with_decimal(value: int | Decimal) -> None:
    assert measured(value) == obvious(value)


@given(NUMBERS)
def test_a_numeric_string_is_the_number(value: int | Decimal) -> None:
    assert measured(str(value)) == measured(value)


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_there_and_back(units: int) -> None:
    assert scaled(unscaled(units)) == units


@pytest.mark.parametrize(
    "value",
    [
        "", " 1", "1 ", "1_000", "1,5", "NaN", "nan", "Infinity", "-inf", "sNaN", "0x10", "１２", "٣", "1" * 401,
        "1e99999999999999999999", "one", True, False, None, [], [1], {}, {"a": 1}, "true",
    ],
)  # fmt: skip
def test_what_is_no_number(value: Any) -> None:
    assert number(value) is None
    assert measured(value) == NOT_A_NUMBER


@pytest.mark.parametrize(
    ("text", "units"), [("12", 12), ("-1.5", -1.5), ("1e3", 1000), ("007", 7), ("+2", 2), (".5", 0.5)]
)
def test_numeric_strings(text: str, units: float) -> None:
    assert scaled(text) == int(units * 10**12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e999999999", OUT_OF_RANGE), ("1e999999999999999999", OUT_OF_RANGE), ("1e99999999999999999999", OUT_OF_RANGE),
        ("1e-999999999999999999", 0), ("1e-99999999999999999999", 0),
        ("0e99999999999999999999", 0), ("9" * 60_000, OUT_OF_RANGE), ("1." + "0" * 60_000, 10**12),
        ("1." + "0" * 60_000 + "1", 10**12), ("0." + "1" * 5000, 111_111_111_111),
    ],
)  # fmt: skip
def test_extreme_numbers_are_judged_without_arithmetic(text: str, expected: int | str) -> None:
    began = time.perf_counter()
    assert measured(exact(text)) == expected
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("114.97809459641576", 114_978_094_596_416), ("0.1234567890125", 123_456_789_012),
        ("0.1234567890135", 123_456_789_014),
        ("-0.1234567890125", -123_456_789_012), ("1e-13", 0), ("5e-13", 0), ("6e-13", 1), ("15e-13", 2), ("1e-400", 0),
    ],
)  # fmt: skip
def test_what_is_finer_than_twelve_decimals_is_rounded_half_to_even(text: str, units: int) -> None:
    assert measured(exact(text)) == measured(text) == units
    assert is_rounded(exact(text))
    assert is_rounded(text)


@given(NUMBERS)
def test_a_value_is_rounded_where_its_quantity_is_another_number(value: int | Decimal) -> None:
    if measured(value) != OUT_OF_RANGE:
        assert is_rounded(value) == (unscaled(scaled(value)) != value)


@pytest.mark.parametrize("value", [1, "1", "a lot", None, True, Decimal("1.000000000000000"), "0.10000000000000"])
def test_what_is_not_rounded(value: Any) -> None:
    assert not is_rounded(value)
