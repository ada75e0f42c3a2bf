"""Decimals at the API's edge: read exactly or refused with the remedy, and written without exponents."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_AMOUNT_DIGITS: Final = 38
MAX_EXACT_DIGITS: Final = 190  # digits of a computed amount before rounding: a quantity times an amount
MAX_QUANTITY_DIGITS: Final = 76  # digits of a sum of Decimal(38,12), which is ClickHouse's Decimal256

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_MAX_TEXT: Final = 200
_JSON_SCHEMA: Final = {"type": ["string", "number"], "pattern": r"^-?\d+(\.\d+)?$", "examples": ["0.01"]}


def plain(number: Decimal) -> str:
    """The canonical text of a finite number: no exponent, no trailing zeros, no minus before zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def exact_decimal(value: object, max_digits: int = MAX_AMOUNT_DIGITS) -> Decimal:
    """A finite Decimal from a decimal string, an int or a Decimal (a JSON number read exactly).

    Raises ValueError, with the remedy in its text, for floats (already rounded), for anything that is not a
    finite number, and for numbers that need more than ``max_digits`` digits written out.
    """
    if isinstance(value, float):
        raise ValueError(f"{value!r} is a float, so already rounded; write it as a decimal string")
    if isinstance(value, str):
        if len(value) > _MAX_TEXT or not _NUMBER.fullmatch(value.strip()):
            raise ValueError(f'{_shown(value)} is not a decimal number; write e.g. "0.25"')
        number = Decimal(value.strip())
    elif isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        number = Decimal(value)
    else:
        raise ValueError(f'{_shown(value)} is not a decimal number; write e.g. "0.25"')
    return _bounded(number, max_digits)


def _bounded(number: Decimal, max_digits: int) -> Decimal:
    """The number without trailing zeros. Digits are counted before the exponent is expanded, so 1e999999 costs
    nothing."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{number} is not a finite number; write a decimal")
    if not number:
        return Decimal(0)
    digit_count = len(digits)
    while digits[digit_count - 1] == 0:
        digit_count -= 1
    exponent += len(digits) - digit_count
    integer_digits, fraction = max(digit_count + exponent, 0), max(-exponent, 0)
    if integer_digits + fraction > max_digits:
        raise ValueError(f"{_shown(str(number))} has more than {max_digits} digits; write a shorter number")
    if exponent > 0:
        return Decimal((sign, digits[:digit_count] + (0,) * exponent, 0))
    return Decimal((sign, digits[:digit_count], exponent))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _wrong(text: str) -> PydanticCustomError:
    return PydanticCustomError("decimal", "{text}", {"text": text})


def _amount(value: Any) -> Decimal:
    try:
        return exact_decimal(value)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _worked_out(value: Any) -> Decimal:
    try:
        return exact_decimal(value, MAX_EXACT_DIGITS)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _not_negative(number: Decimal) -> Decimal:
    if number < 0:
        raise _wrong(f"{plain(number)} is negative; write 0 or more")
    return number


def _positive(number: Decimal) -> Decimal:
    if number <= 0:
        raise _wrong(f"{plain(number)} is not above 0; write more than 0")
    return number


# In major currency units (or, for a rate, in percent). May be negative: a credit per unit, a rebate.
Amount = Annotated[
    Decimal, BeforeValidator(_amount), PlainSerializer(plain, return_type=str), WithJsonSchema(_JSON_SCHEMA)
]
NotNegative = Annotated[Amount, AfterValidator(_not_negative)]
Positive = Annotated[Amount, AfterValidator(_positive)]
WorkedOut = Annotated[
    Decimal, BeforeValidator(_worked_out), PlainSerializer(plain, return_type=str), WithJsonSchema(_JSON_SCHEMA)
]
WorkedOutUnits = Annotated[WorkedOut, AfterValidator(_not_negative)]
