"""Truncates instants finer than a microsecond instead of rounding them, since an instant must not move into the
next period.

msgspec rounds 23:59:59.9999999 up to midnight, and pydantic does the same with a number of seconds; .NET writes 7
fractional digits and Go 9. Values that a decoder may have rounded are therefore parsed again from their text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Annotated, Any, Final

import msgspec
from pydantic import AwareDatetime, BeforeValidator

from schemas.values.instants import instant

_SEVENTH: Final = re.compile(rb"\.\d{7}")
_ESCAPED: Final = re.compile(rb"\\u00(?:2[eE]|3[\daA])")  # a point, digit or colon that a sender wrote as an escape
_COLON: Final = ord(":")
_EXCESS: Final = re.compile(r"(\.[0-9]{6})[0-9]+")
_NUMBER: Final = re.compile(r"\s*[+-]?\d+\.\d+\s*", re.ASCII)
_EXACT: Final = Context(prec=500)
_MILLISECONDS_FROM: Final = 20_000_000_000  # pydantic reads greater numbers as milliseconds


def may_be_fine(body: bytes) -> bool:
    """Whether the JSON text may contain an instant with more than six fractional digits; a cheap search."""
    for digit in _SEVENTH.finditer(body):
        if body[digit.start() - 3] == _COLON:  # of hh:mm:ss.fffffff
            return True
    return b"\\u00" in body and _ESCAPED.search(body) is not None


def cut(text: str) -> str:
    """Truncate RFC 3339 text to microseconds."""
    return _EXCESS.sub(r"\1", text, count=1)


def cut_instant(text: str) -> datetime:
    """Parse RFC 3339 text, truncated to microseconds. Raises msgspec.ValidationError."""
    return msgspec.convert(cut(text), datetime)


def never_later(decoded: Sequence[datetime | None], written: Sequence[str | None]) -> list[datetime | None]:
    """The instants decoded by msgspec, with those that may have been rounded parsed again from their text."""
    return [
        cut_instant(text) if text is not None and _EXCESS.search(text) is not None else moment
        for moment, text in zip(decoded, written, strict=True)
    ]


def seconds_to_micros(text: str) -> int:
    """Decimal seconds as microseconds, truncated. Raises decimal.InvalidOperation."""
    return int(_EXACT.scaleb(Decimal(text), 6).to_integral_value("ROUND_FLOOR"))


def _number_cut(value: Any) -> Any:
    """Convert a number of seconds (or milliseconds) to a truncated instant; other values are unchanged."""
    if isinstance(value, float | Decimal) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        try:
            number = Decimal(str(value).strip())
            scale = 3 if abs(number) > _MILLISECONDS_FROM else 6
            return instant(int(_EXACT.scaleb(number, scale).to_integral_value("ROUND_FLOOR")))
        except (InvalidOperation, ValueError, OverflowError):
            return value  # pydantic says what is wrong with it
    return value


Cut: Final = BeforeValidator(_number_cut)
Instant = Annotated[AwareDatetime, Cut]
InstantOrDate = Annotated[AwareDatetime | date, Cut]
