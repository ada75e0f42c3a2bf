"""JSON text with exact numbers: a decimal written by a customer is never rounded through a float."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 32

_MAX_EXPONENT: Final = 400
_CLAMPED_EXPONENT: Final = 999_999_999_999_000_000


def _decimal(text: str) -> Decimal:
    """The number, exactly. An exponent of more than 18 digits, which Decimal cannot hold, is clamped: no quantity and
    no filter can tell, and an accepted event must never fail to parse later."""
    try:
        return Decimal(text)
    except InvalidOperation:
        mantissa, _, exponent = text.lower().partition("e")
        sign = "-" if exponent.startswith("-") else ""
        return Decimal(f"{mantissa}e{sign}{_CLAMPED_EXPONENT}")


_decoder: Final = msgspec.json.Decoder(float_hook=_decimal)


def exact(text: str | bytes) -> Any:
    """Parse JSON; numbers with a fraction or an exponent, and integers of thousands of digits, become Decimal, others int.

    Raises ValueError (msgspec.DecodeError is one) for anything that is not JSON.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        # An integer of more digits than Python converts; the text is JSON nevertheless.
        return json.loads(text, parse_int=Decimal, parse_float=_decimal)
    except RecursionError:
        raise ValueError(f"JSON is nested deeper than {MAX_DEPTH} levels") from None
    except ArithmeticError:
        raise ValueError("JSON holds a number whose exponent is beyond reading") from None


def is_number(value: object) -> bool:
    """True for a JSON number; JSON true and false are none."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def normal_number(value: int | Decimal) -> str:
    """One text for each number: 1, 1.0 and 1e0 are all "1". Linear in the digits written, whatever the exponent."""
    number = Decimal(value)
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a finite number")
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return "0"
    stripped = text.rstrip("0")
    exponent += len(text) - len(stripped)
    minus = "-" if sign else ""
    if abs(exponent) > _MAX_EXPONENT:
        return f"{minus}{stripped}E{exponent}"
    if exponent >= 0:
        return f"{minus}{stripped}{'0' * exponent}"
    if len(stripped) > -exponent:
        return f"{minus}{stripped[:exponent]}.{stripped[exponent:]}"
    return f"{minus}0.{'0' * (-exponent - len(stripped))}{stripped}"


def canonical(value: Any) -> str:
    """One text for equal JSON values: sorted keys, no spaces, numbers by value. "1" and 1 stay different."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return normal_number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, dict):
        inner = ",".join(f"{json.dumps(key, ensure_ascii=False)}:{canonical(value[key])}" for key in sorted(value))
        return "{" + inner + "}"
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def depth(value: Any) -> int:
    """Levels of nesting: a scalar has 0, {} and [] have 1."""
    deepest = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, level = stack.pop()
        if isinstance(item, dict):
            stack.extend((inner, level + 1) for inner in item.values())
            deepest = max(deepest, level + 1)
        elif isinstance(item, list):
            stack.extend((inner, level + 1) for inner in item)
            deepest = max(deepest, level + 1)
    return deepest
