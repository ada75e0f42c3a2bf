"""Amounts and spans of days as people read them. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from rating.pricing import plain
from schemas.values.instants import instant
from schemas.values.time_zones import parse_zone


def grouped(number: Decimal | int | str | None) -> str:
    """A number with thin spaces between thousands; "–" for none."""
    if number is None:
        return "–"
    text = number if isinstance(number, str) else plain(Decimal(number))
    integer, dot, fraction = text.partition(".")
    sign, digits = ("−", integer[1:]) if integer.startswith("-") else ("", integer)
    return sign + f"{int(digits):,}".replace(",", "\u202f") + dot + fraction


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
