"""Date ranges as people write them, in a time zone."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from rating.periods.billing import BillingInterval, boundary_date
from rating.periods.interval import Interval
from schemas.values.instants import parse_rfc3339
from schemas.values.local_time import local_midnight

_EXAMPLES: Final = "write 2013, 2013-Q1, 2013-01, 2013-01-15, 2013-01-01..2013-02-01 or two RFC 3339 instants"
_TIME: Final = re.compile(r"\d[Tt]\d", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})(?:-Q([1-4])|-(\d\d)(?:-(\d\d))?)?", re.ASCII)


def parse_range(text: str, zone: ZoneInfo) -> Interval:
    """``2013`` ``2013-Q1`` ``2013-01`` ``2013-01-15``, whole in ``zone``, or ``A..B``: from A's start up to B's start.

    A and B are such dates or RFC 3339 instants with an offset; B is not included, so ``2013-01..2013-04`` is January
    to March. Raises ValueError that names what is wrong and the remedy.
    """
    first, dots, second = (part.strip() for part in text.partition(".."))
    if dots:
        start, end = _start_of(first, zone), _start_of(second, zone)
        if start >= end:
            raise ValueError(f"{text!r} is empty: the end is not included and must be after the start")
        return Interval(start, end)
    if _TIME.search(first):
        raise ValueError(f"{text!r} is an instant, not a range; write two, separated by ..")
    day, unit = _parse_date(first)
    start, end = local_midnight(day, zone), local_midnight(boundary_date(unit, day, 1), zone)
    if start >= end:
        raise ValueError(f"{text!r} does not exist in {zone.key}, which left that day out")
    return Interval(start, end)


def _start_of(text: str, zone: ZoneInfo) -> datetime:
    if _TIME.search(text):
        return parse_rfc3339(text)
    return local_midnight(_parse_date(text)[0], zone)


def _parse_date(text: str) -> tuple[date, BillingInterval]:
    """The first day of what ``text`` names, and how long that is."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no date; {_EXAMPLES}")
    year, quarter, month, day = match.groups()
    unit: BillingInterval = "day" if day else "month" if month else "quarter" if quarter else "year"
    first_month = int(month) if month else int(quarter) * 3 - 2 if quarter else 1
    try:
        return date(int(year), first_month, int(day or 1)), unit
    except ValueError:
        raise ValueError(f"{text!r} is not in the calendar; check month and day") from None
