"""Numbers and instants as the console writes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from rating.console.html import Html, join, tag
from rating.pricing import plain
from schemas.values.instants import instant
from schemas.values.time_zones import parse_zone

_LARGE: Final = 1000
_PLACES: Final = (Decimal("0.01"), Decimal("0.000001"))
_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_UP)


def grouped(number: Decimal | int | str | None) -> str:
    """A number with thin spaces between thousands; "–" for none."""
    if number is None:
        return "–"
    text = number if isinstance(number, str) else plain(Decimal(number))
    integer, dot, fraction = text.partition(".")
    sign, digits = ("−", integer[1:]) if integer.startswith("-") else ("", integer)
    return sign + f"{int(digits):,}".replace(",", "\u202f") + dot + fraction


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


def money(amount: Decimal | str, currency: str) -> str:
    """An amount with its currency behind it."""
    return f"{grouped(amount)} {currency}"


def local(us: int, zone: str) -> str:
    """An instant as the account sees it: the date alone at local midnight."""
    moment = instant(us).astimezone(parse_zone(zone))
    at_midnight = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return f"{moment:%Y-%m-%d}" if at_midnight else f"{moment:%Y-%m-%d %H:%M}"


def local_span(start_us: int, end_us: int, zone: str) -> str:
    """A half-open interval as the account sees it."""
    return f"{local(start_us, zone)} to {local(end_us, zone)} (not included)"


def local_days(start_us: int, end_us: int, zone: str) -> str:
    """The days of a half-open interval as people say them, the last one included: "2026-11" for a whole month; as
    ``local_span`` where it does not begin and end at local midnight."""
    known = parse_zone(zone)
    start, end = (instant(us).astimezone(known) for us in (start_us, end_us))
    if start_us >= end_us or any((edge.hour, edge.minute, edge.second) != (0, 0, 0) for edge in (start, end)):
        return local_span(start_us, end_us, zone)
    last = end.date() - timedelta(days=1)
    if start.day == end.day == 1 and (start.year, start.month) == (last.year, last.month):
        return f"{start:%Y-%m}"
    return f"{start:%Y-%m-%d}" if last == start.date() else f"{start:%Y-%m-%d} to {last:%Y-%m-%d}"
