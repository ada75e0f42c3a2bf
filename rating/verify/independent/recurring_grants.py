"""Draws on grants that recur: no recurrence has paid more than its amount and what rolled over. By fractions and a
calendar of its own: it shares no code with what draws."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Final

from schemas.catalog.profiles import FOREVER
from schemas.catalog.state import Entry
from schemas.catalog.terms import CreditGrant
from schemas.values.time_zones import parse_zone

_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


def retired_spans(versions: Iterable[Entry]) -> list[tuple[int, int]]:
    """[from, until) in which a grant was retired, microseconds UTC, by its versions."""
    spans: list[tuple[int, int]] = []
    since: int | None = None
    for version in versions:
        if version.retired:
            since = version.published_us if since is None else since
        elif since is not None:
            spans.append((since, version.published_us))
            since = None
    return spans if since is None else [*spans, (since, FOREVER)]


def is_covered(
    grant: CreditGrant,
    amount: Fraction,
    rollover: Fraction,
    draws: Mapping[str, Fraction],
    zone: str,
    retired: Iterable[tuple[int, int]] = (),
) -> bool:
    """Whether the recurrences of ``grant`` could pay ``draws`` (code with the recurrence's date → amount), with these
    amounts. ``retired``: spans of time in which none began, but for the first."""
    spans = list(retired)
    by_date: dict[str, Fraction] = {}
    dates = _dates(grant, zone)
    first = next(dates)
    for code, drawn in draws.items():
        day = code.partition("@")[2] or first  # of before it recurred
        by_date[day] = by_date.get(day, Fraction(0)) + drawn
    if not all(_recurs(grant, first, day) for day in by_date):
        return False
    level = amount - by_date.pop(first, Fraction(0))
    while level >= 0 and by_date:
        following = next(dates, None)
        if following is None:
            return False
        given = Fraction(0) if _lies_in(following, zone, spans) else amount
        level = min(level, rollover) + given - by_date.pop(following, Fraction(0))
    return level >= 0


def _recurs(grant: CreditGrant, first: str, day: str) -> bool:
    """Whether a recurrence begins on ``day`` (YYYY-MM-DD, or whatever a damaged copy has there): by counting from the
    first one, since a walk through all dates to the year 9999 would take seconds."""
    assert grant.recurrence is not None
    try:
        begins, on = date.fromisoformat(first), date.fromisoformat(day)
    except ValueError:
        return False
    if on < begins or on.isoformat() != day:
        return False
    months = _MONTHS.get(grant.recurrence.every, 0)
    if not months:
        return (on - begins).days % 7 == 0
    since = (on.year - begins.year) * 12 + on.month - begins.month
    return since % months == 0 and on.day == min(begins.day, monthrange(on.year, on.month)[1])


def _lies_in(day: str, zone: str, spans: Iterable[tuple[int, int]]) -> bool:
    """Whether the local date begins in one of the spans, after its first moment."""
    begins_us = int(datetime.combine(date.fromisoformat(day), time(), parse_zone(zone)).timestamp()) * 1_000_000
    return any(start_us < begins_us < end_us for start_us, end_us in spans)


def _dates(grant: CreditGrant, zone: str) -> Iterator[str]:
    """YYYY-MM-DD, as far as a calendar goes."""
    with suppress(ValueError, OverflowError):
        for day in _days(grant, zone):
            yield day.isoformat()


def _days(grant: CreditGrant, zone: str) -> Iterator[date]:
    start = grant.effective
    assert start is not None
    assert grant.recurrence is not None
    if isinstance(start, datetime):
        start = start.astimezone(UTC).astimezone(parse_zone(zone)).date()
    months = _MONTHS.get(grant.recurrence.every, 0)
    day, count = start, 0
    while True:
        yield day
        count += 1
        if not months:
            day += timedelta(days=7)
            continue
        total = start.year * 12 + start.month - 1 + months * count
        year, month = divmod(total, 12)
        day = date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))
