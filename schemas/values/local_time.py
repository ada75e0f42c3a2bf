"""Local dates and UTC instants in an IANA time zone, across its shifts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from schemas.values.time_zones import parse_zone

__all__ = ["first_shift", "local_midnight", "parse_zone"]
_SECOND: Final = timedelta(seconds=1)
_YEARS: Final = range(1800, 9000)  # far from datetime's own ends, where adding an offset overflows


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The UTC instant at which the local date ``day`` starts.

    Where midnight happens twice it is the first; where a shift skips midnight, the first instant after the gap. So
    it never decreases from one date to the next; a date that a zone left out starts when the next one does.
    Raises ValueError outside the years 1800 to 8999.
    """
    if day.year not in _YEARS:
        raise ValueError(f"{day} is out of range; use years from {_YEARS.start} to {_YEARS.stop - 1}")
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    by_old_offset = midnight.astimezone(UTC)
    by_new_offset = midnight.replace(fold=1).astimezone(UTC)
    if by_new_offset < by_old_offset:  # only for a local time that does not exist: the shift lies between the two
        return first_shift(by_new_offset, by_old_offset, zone) or by_old_offset
    return by_old_offset


def first_shift(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """The UTC instant in (after, until] at which the zone's offset changes, to the second; None if it does not.

    The arguments are at most a day apart: of two shifts that undo each other between them neither is seen.
    """
    offset = after.astimezone(zone).utcoffset()
    if until.astimezone(zone).utcoffset() == offset:
        return None
    low, high = after.replace(microsecond=0), until  # zones shift at whole seconds
    while high - low > _SECOND:
        middle = low + (high - low) // (2 * _SECOND) * _SECOND
        if middle == low:
            middle += _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high
