"""The types without parameters: which plain JSON values each accepts, and its description for people.

Values are as parsed by ``json_text.exact``: None, bool, int, Decimal, str, list, dict. No number is rounded or
rewritten.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from schemas.values.quantity import number

ScalarCheck = Callable[[Any], bool]

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_DATE: Final = date
_TIME: Final = Annotated[time, msgspec.Meta(tz=False)]
_INSTANT: Final = Annotated[datetime, msgspec.Meta(tz=True)]
_LOCAL: Final = Annotated[datetime, msgspec.Meta(tz=False)]
INT_LOW, INT_END = -(1 << 31), 1 << 31
LONG_LOW, LONG_END = -(1 << 63), 1 << 63


def _null(value: Any) -> bool:
    return value is None


def _boolean(value: Any) -> bool:
    return value is True or value is False


def _whole(low: int, end: int) -> ScalarCheck:
    """A check for whole numbers in [low, end), however they are written: 2, 2.0 and 2e0 are equal."""

    def whole(value: Any) -> bool:
        if type(value) is int:
            return low <= value < end
        return type(value) is Decimal and low <= value < end and value == value.to_integral_value()

    return whole


def _number(value: Any) -> bool:
    return type(value) is int or type(value) is Decimal


def _text(value: Any) -> bool:
    return type(value) is str


def base64_bytes(value: Any) -> bytes | None:
    """The bytes encoded by base64 text; None for anything else."""
    if type(value) is not str:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return None


def _bytes(value: Any) -> bool:
    return base64_bytes(value) is not None


def _uuid(value: Any) -> bool:
    return type(value) is str and _UUID.fullmatch(value) is not None


def _written(kind: Any, text_check: ScalarCheck) -> ScalarCheck:
    """A check for text that parses as ``kind``; other values are passed to ``text_check``."""
    convert = msgspec.convert

    def written(value: Any) -> bool:
        if type(value) is str:
            try:
                convert(value, kind)
            except msgspec.ValidationError:
                return False
            return True
        return text_check(value)

    return written


_int: Final = _whole(INT_LOW, INT_END)
_long: Final = _whole(LONG_LOW, LONG_END)
_DAY_MILLIS: Final = 86_400_000

SCALARS: Final[dict[str, tuple[ScalarCheck, str]]] = {
    "null": (_null, "null"),
    "boolean": (_boolean, "true or false"),
    "int": (_int, "a whole number of 32 bits"),
    "long": (_long, "a whole number of 64 bits"),
    "float": (_number, "a number"),
    "double": (_number, "a number"),
    "string": (_text, "text"),
    "bytes": (_bytes, "bytes as base64 text"),
    "uuid": (_uuid, "a UUID as text"),
    "big-decimal": (lambda value: number(value) is not None, "a number or a numeric string"),
    "date": (_written(_DATE, _int), "a date such as 2026-01-31, or a number of days"),
    "time-millis": (_written(_TIME, _whole(0, _DAY_MILLIS)), "a time of day such as 12:00:00, or milliseconds"),
    "time-micros": (_written(_TIME, _whole(0, 1000 * _DAY_MILLIS)), "a time of day such as 12:00:00, or microseconds"),
} | {
    f"{local}timestamp-{unit}s": (
        _written(_LOCAL if local else _INSTANT, _long),
        f"a local date and time such as 2026-01-31T12:00:00, or a number of {unit}seconds"
        if local
        else f"an RFC 3339 instant such as 2026-01-31T12:00:00Z, or a number of {unit}seconds",
    )
    for local in ("", "local-")
    for unit in ("milli", "micro", "nano")
}


def exact_check(precision: int, scale: int) -> ScalarCheck:
    """A check for numbers and numeric strings of at most ``precision`` digits, at most ``scale`` of them after the
    point, by value."""
    whole_end: int = 10 ** (precision - scale)
    most = precision - scale

    def exact(value: Any) -> bool:
        decimal_value = number(value)
        if decimal_value is None:
            return False
        if isinstance(decimal_value, int):
            return -whole_end < decimal_value < whole_end
        _, digits, exponent = decimal_value.as_tuple()
        if not any(digits):
            return True
        # Computed from digits and exponent, so that 1e999999999 is not expanded.
        beyond = -int(exponent) - scale  # digits beyond the scale, which must be zeros
        return bool(decimal_value.adjusted() < most) and (beyond <= 0 or not any(digits[-beyond:]))

    return exact
