"""JSON with exact numbers: decimals are never rounded through a float."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias

import msgspec

MAX_DEPTH: Final = 32

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object as a dictionary."""

to_json: Final = json.JSONEncoder(ensure_ascii=False).encode
"""JSON text of plain values; json.dumps would create an encoder for each call."""

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_EXPONENT: Final = 400
_CLAMPED_EXPONENT: Final = 999_999_999_999_000_000


def decimal(text: str) -> Decimal:
    """Parse a JSON number exactly. An exponent of more than 18 digits, which Decimal cannot represent, is clamped,
    so that an accepted event never fails to parse later; no quantity or filter can tell the difference."""
    try:
        return Decimal(text)
    except InvalidOperation:
        mantissa, _, exponent = text.lower().partition("e")
        sign = "-" if exponent.startswith("-") else ""
        return Decimal(f"{mantissa}e{sign}{_CLAMPED_EXPONENT}")


_decoder: Final = msgspec.json.Decoder(float_hook=decimal)


def exact(text: str | bytes) -> Any:
    """Parse JSON; numbers with a fraction or an exponent, and integers of thousands of digits, become Decimal, others
    int.

    Raises ValueError (msgspec.DecodeError is one) for anything that is not JSON.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        # An integer of more digits than Python converts; the text is JSON nevertheless.
        return json.loads(text, parse_int=Decimal, parse_float=decimal)
    except RecursionError:
        raise ValueError(f"JSON is nested deeper than {MAX_DEPTH} levels") from None
    except ArithmeticError:
        raise ValueError("JSON holds a number whose exponent is beyond reading") from None


def stored(text: str) -> Any:
    """What ``json.loads`` makes of a text, in less than half of its time: for what we wrote ourselves, at the latest
    in an older release. Raises ValueError."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):  # it takes less than json.loads does: no NaN, no lone surrogate
        return json.loads(text)


def keys_differ(text: str, parsed: Any) -> bool:
    """Whether no object in the JSON text has a duplicate key; ``parsed``: the decoded text, which has the last of
    each.

    Decided by counting colons where possible: there are as many as keys, or more if strings contain some.
    """
    keys = _keys(parsed)
    if keys == text.count(":"):
        return True
    if keys == text.count('":') and not any(space in text for space in (" :", "\t:", "\n:", "\r:")):
        return True
    return doubled_key(text) is None


def doubled_key(text: str) -> tuple[str | int, ...] | None:
    """The path of the first duplicate key; None if there is none. Slow."""
    return _doubled(json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written."""


def _doubled(value: Any) -> tuple[str | int, ...] | None:
    inner: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, _Pairs):
        names: set[str] = set()
        for name, _ in value:
            if name in names:
                return (name,)
            names.add(name)
        inner = value
    elif isinstance(value, list):
        inner = enumerate(value)
    for step, item in inner:
        if (doubled := _doubled(item)) is not None:
            return (step, *doubled)
    return None


def _keys(value: Any) -> int:
    """Keys of all objects in the value."""
    total = 0
    waiting = [value]
    for item in waiting:  # grows while it is walked
        if type(item) is dict:
            total += len(item)
            inner: Iterable[Any] = item.values()
        else:
            inner = item if type(item) is list else ()
        for member in inner:
            if type(member) is dict or type(member) is list:
                waiting.append(member)
    return total


def path_text(steps: Iterable[str | int]) -> str:
    """Names and indexes as a JSON path suffix: ``.items[0]["a b"]``."""
    return "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if _PLAIN.fullmatch(step)
        else f"[{json.dumps(step, ensure_ascii=False)}]"
        for step in steps
    )


def is_number(value: object) -> bool:
    """True for a JSON number; JSON true and false are none."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def normal_number(value: int | Decimal) -> str:
    """Canonical text of a number: 1, 1.0 and 1e0 are all "1". Linear in the digits written, whatever the exponent."""
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
    """Canonical text, equal for equal JSON values: sorted keys, no spaces, numbers by value. "1" and 1 differ."""
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return normal_number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, dict):
        inner = ",".join(f"{encode_basestring(key)}:{canonical(value[key])}" for key in sorted(value))
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
