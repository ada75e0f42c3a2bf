"""Quantities: Decimal(38, 12) in ClickHouse, integer counts of 10^-12 units in Python.

A number with more than 12 decimals is rounded to 12, half to even: the usual text of a float (114.97809459641576)
has 14, and unbiased rounding keeps sums close. Events packed by releases without this rule stay unmeterable
(``UsageBatch.rounds``).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from schemas.errors import WeirError

SCALE: Final = 12
UNIT: Final = 10**SCALE
LIMIT: Final = 10**38

MISSING: Final = "missing"
NOT_A_NUMBER: Final = "not_a_number"
OUT_OF_RANGE: Final = "out_of_range"
TOO_MANY_DECIMALS: Final = "too_many_decimals"  # by the rule before such numbers were rounded


class Unmeterable(WeirError):
    """A value that no quantity can represent; ``args[0]`` is one of the reasons above."""


def number(value: Any) -> int | Decimal | None:
    """The number in a JSON value: a number or a numeric string; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, str) and 0 < len(value) <= 400 and value.isascii():
        if value.strip() != value or "_" in value:
            return None
        try:
            parsed = Decimal(value)
        except InvalidOperation:
            return None
        return parsed if parsed.is_finite() else None
    return None


def scaled(value: Any, exactly: bool = False) -> int:
    """The value × 10^12 as an int, rounded half to even; with ``exactly``, values that need rounding are
    unmeterable. Raises Unmeterable."""
    decimal_value = number(value)
    if decimal_value is None:
        raise Unmeterable(NOT_A_NUMBER)
    if isinstance(decimal_value, int):
        result = decimal_value * UNIT
    else:
        sign, digits, exponent = decimal_value.as_tuple()
        if not isinstance(exponent, int):
            raise Unmeterable(NOT_A_NUMBER)
        if not any(digits):
            return 0
        # Judged by its digits before any arithmetic, so that 1e999999999 costs nothing.
        if decimal_value.adjusted() >= 38 - SCALE:
            raise Unmeterable(OUT_OF_RANGE)
        shift = exponent + SCALE
        if shift < 0:
            # By digits too: a number may be written with more of them than Python's int() takes.
            if exactly and any(digits[shift:]):
                raise Unmeterable(TOO_MANY_DECIMALS)
            result = _rounded(digits, -shift)
        else:
            result = int("".join(map(str, digits))) * 10**shift
        if sign:
            result = -result
    if not -LIMIT < result < LIMIT:
        raise Unmeterable(OUT_OF_RANGE)
    return result


def _rounded(digits: tuple[int, ...], dropped: int) -> int:
    """The number written by ``digits`` without its last ``dropped`` digits, rounded half to even."""
    if dropped > len(digits):
        return 0
    kept_digits, dropped_digits = digits[:-dropped], digits[-dropped:]
    result = int("".join(map(str, kept_digits)) or "0")
    up = dropped_digits[0] > 5 or (dropped_digits[0] == 5 and (any(dropped_digits[1:]) or result % 2 == 1))
    return result + up


def is_rounded(value: Any) -> bool:
    """Whether a JSON value is a number that needs rounding to be a quantity."""
    decimal_value = number(value)
    if not isinstance(decimal_value, Decimal):
        return False
    digits, exponent = decimal_value.as_tuple()[1:]
    return isinstance(exponent, int) and exponent < -SCALE and any(digits[exponent + SCALE :])


def unscaled(units: int) -> Decimal:
    """The exact Decimal of an integer count of 10^-12 units."""
    return Decimal(f"{units}E-{SCALE}")
