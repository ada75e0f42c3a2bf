"""Instants as integers: microseconds since 1970-01-01T00:00:00Z, so that arithmetic is exact and cheap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND


def micros(instant: datetime) -> int:
    """Microseconds of an aware datetime. Raises ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no UTC offset; append Z or +hh:mm")
    delta = instant - EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def instant(us: int) -> datetime:
    """The aware UTC datetime of ``us`` microseconds."""
    return EPOCH + timedelta(microseconds=us)


def parse_rfc3339(text: str) -> datetime:
    """An aware UTC datetime from RFC 3339 text. Raises ValueError that says what is missing."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an RFC 3339 instant; write e.g. 2026-01-31T12:00:00Z") from None
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset; append Z or +hh:mm")
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is beyond the calendar; check the year") from None


def rfc3339(us: int) -> str:
    """RFC 3339 text with Z, with as many fractional digits as there are (none, 3 or 6)."""
    moment = instant(us)
    if us % SECOND == 0:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    spec = "milliseconds" if us % 1000 == 0 else "microseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"
