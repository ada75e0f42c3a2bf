"""Billing periods: local calendar dates turned to UTC instants, each period starting where its predecessor ended."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from rating.periods.interval import Interval
from schemas.values.local_time import local_midnight

BillingInterval: TypeAlias = Literal["day", "week", "month", "quarter", "year"]

_DAYS: Final[dict[BillingInterval, int]] = {"day": 1, "week": 7}
_MONTHS: Final[dict[BillingInterval, int]] = {"month": 1, "quarter": 3, "year": 12}
# A Monday, the first of a month, of a quarter and of a year: counting from it follows the calendar.
_CALENDAR: Final = date(2001, 1, 1)
# Zones lie up to 26 hours apart, so after a move westwards a boundary may follow within that time.
_ZONE_SPREAD: Final = timedelta(hours=27)
_HALF_DAY: Final = timedelta(hours=12)


def boundary_date(interval: BillingInterval, anchor: date | None, count: int) -> date:
    """The local date ``count`` intervals after the anchor (None: the calendar's own days).

    A day that a month lacks is its last one; it comes back in the next month that has it, since each boundary is
    counted from the anchor and not from the boundary before. Weeks start on the anchor's weekday, else on Monday.
    Raises ValueError outside datetime's years.
    """
    origin = anchor or _CALENDAR
    try:
        if interval in _DAYS:
            return origin + timedelta(days=_DAYS[interval] * count)
        month = origin.year * 12 + origin.month - 1 + _MONTHS[interval] * count
        year, month = month // 12, month % 12 + 1
        return date(year, month, min(origin.day, monthrange(year, month)[1]))
    except (OverflowError, ValueError):
        raise ValueError(f"{interval} {count} from {origin} is beyond the calendar; check the dates") from None


def boundary_count(instant: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None) -> int:
    """The greatest count whose boundary is at or before ``instant``."""
    origin = anchor or _CALENDAR
    local = instant.astimezone(zone).date()
    if interval in _DAYS:
        count = (local - origin).days // _DAYS[interval]
    else:
        months = (local.year - origin.year) * 12 + local.month - origin.month
        count = months // _MONTHS[interval]
    while boundary(interval, anchor, count, zone) > instant:
        count -= 1
    while boundary(interval, anchor, count + 1, zone) <= instant:
        count += 1
    return count


@lru_cache(maxsize=4096)  # the accounts of a time zone share their boundaries
def boundary(interval: BillingInterval, anchor: date | None, count: int, zone: ZoneInfo) -> datetime:
    """The local midnight, in UTC, at which ``boundary_date`` begins. Raises ValueError outside datetime's years."""
    return local_midnight(boundary_date(interval, anchor, count), zone)


def period_containing(
    instant: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None = None
) -> Interval:
    """The whole period around ``instant`` (aware), by the calendar or by a billing anchor (a local date).

    Raises ValueError far outside our years.
    """
    count = boundary_count(instant, interval, zone, anchor)
    return Interval(boundary(interval, anchor, count, zone), boundary(interval, anchor, count + 1, zone))


def first_period(start: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None = None) -> Interval:
    """From a subscription's ``start`` (UTC) to the next boundary; shorter than the interval if it starts between."""
    return Interval(start, period_containing(start, interval, zone, anchor).end)


def next_period(
    previous_end: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None = None
) -> Interval:
    """The period after one that ended at ``previous_end`` (UTC, as stored), whatever happened to zone or anchor.

    It ends at the first boundary that is at least 27 hours later (12 hours for days): a move of the account to
    another time zone makes one period a few hours longer or shorter, never an extra one of a few hours.
    """
    least = previous_end + (_HALF_DAY if interval == "day" else _ZONE_SPREAD)
    count = boundary_count(least, interval, zone, anchor)
    end = boundary(interval, anchor, count, zone)
    return Interval(previous_end, boundary(interval, anchor, count + 1, zone) if end < least else end)


def successive_periods(
    start: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None = None
) -> Iterator[Interval]:
    """All periods of a subscription that starts at ``start`` (UTC), without end; the first may be shorter."""
    period = first_period(start, interval, zone, anchor)
    while True:
        yield period
        period = next_period(period.end, interval, zone, anchor)


def periods_between(
    start: datetime, end: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None = None
) -> Iterator[Interval]:
    """The successive periods from ``start`` (UTC) that have ended by ``end``, none of them cut short by it."""
    for period in successive_periods(start, interval, zone, anchor):
        if period.end > end:
            return
        yield period
