"""Numbers and instants as the console writes them."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from rating.console.html import Html, join, tag
from rating.plain_text import grouped, local, local_days, local_span, money
from rating.pricing import plain
from schemas.values.time_zones import parse_zone

__all__ = ["grouped", "local", "local_days", "local_span", "moment", "money", "rounded"]

_LARGE: Final = 1000
_PLACES: Final = (Decimal("0.01"), Decimal("0.000001"))
_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_UP)


def rounded(number: Decimal | int | str | None, unit: str = "") -> Html:
    """A number to read, with its unit: from a thousand on two decimals, else six; the exact one as its tooltip where
    that is another."""
    if number is None:
        return join("–")
    exact = Decimal(number)
    short = exact.quantize(_PLACES[abs(exact) < _LARGE], context=_EXACT)
    if short == exact:
        return join(f"{grouped(plain(exact))} {unit}".strip())
    return tag("span", f"{grouped(plain(short))} {unit}".strip(), title=f"{plain(exact)} {unit}".strip(), class_="near")


def moment(text: str, zone: str) -> Html:
    """An RFC 3339 instant as the account sees it; as it was written as its tooltip."""
    local_time = datetime.fromisoformat(text).astimezone(parse_zone(zone))
    return tag("time", f"{local_time:%Y-%m-%d %H:%M}", datetime=text, title=text)
