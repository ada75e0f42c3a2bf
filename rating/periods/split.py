"""An interval cut into local hours, days, weeks, months, …, for histories."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from rating.periods.billing import BillingInterval, period_containing
from rating.periods.interval import Interval
from schemas.values.local_time import first_shift

Granularity: TypeAlias = Literal["hour"] | BillingInterval

_HOUR: Final = timedelta(hours=1)


def split(interval: Interval, by: Granularity, zone: ZoneInfo) -> Iterator[Interval]:
    """Pieces that tile ``interval`` and end at local boundaries; the first and the last may be cut by its ends.

    A day has 23, 24, 25 or other hours. Hours are cut at shifts of the zone too, so an hour that happens twice is
    two pieces, and each piece lies in one local hour of one offset.
    """
    start = interval.start
    while start < interval.end:
        end = min(_hour_end(start, zone) if by == "hour" else period_containing(start, by, zone).end, interval.end)
        yield Interval(start, end)
        start = end


def _hour_end(start: datetime, zone: ZoneInfo) -> datetime:
    local = start.astimezone(zone).replace(tzinfo=None)
    end = start + (local.replace(minute=0, second=0, microsecond=0) + _HOUR - local)
    return (first_shift(start, end, zone) or end).astimezone(UTC)
