"""Quantities as integers of 10^-12, against an obvious implementation over Decimal."""

from __future__ import annotations

import time
from decimal import Context, Decimal, Inexact
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.json_text import exact
from schemas.quantity import NOT_A_NUMBER, OUT_OF_RANGE, TOO_MANY_DECIMALS, Unmeterable, number, scaled, unscaled

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
    units = context.multiply(context.create_decimal(value), Decimal(10**12))
    if Decimal(value).copy_abs() >= 10**26:
        return OUT_OF_RANGE
    return int(units) if units == units.to_integral_value() else TOO_MANY_DECIMALS


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
        ("1e-999999999999999999", TOO_MANY_DECIMALS), ("1e-99999999999999999999", TOO_MANY_DECIMALS),
        ("0e99999999999999999999", 0), ("9" * 60_000, OUT_OF_RANGE), ("1." + "0" * 60_000, 10**12),
        ("1." + "0" * 60_000 + "1", TOO_MANY_DECIMALS), ("0." + "1" * 5000, TOO_MANY_DECIMALS),
    ],
)  # fmt: skip
def test_extreme_numbers_are_judged_without_arithmetic(text: str, expected: int | str) -> None:
    began = time.perf_counter()
    assert measured(exact(text)) == expected
    assert time.perf_counter() - began < 1
