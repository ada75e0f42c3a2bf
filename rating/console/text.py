"""Numbers and instants as the console writes them."""

from __future__ import annotations

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
