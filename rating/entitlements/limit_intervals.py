"""The time over which a limit counts at an instant. Pure.

Calendars are those of ``rating.periods``, in the account's time zone; a billing period is the subscription's. A rolling
window moves in steps and reaches back at least as far as it says: from a whole window before the step that runs, to
that step's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rating.periods import Granularity, Interval, parse_zone, period_containing, split
from rating.subscriptions.billing_periods import Span
from schemas.catalog.entitlements.features import FeatureLimit
from schemas.catalog.entitlements.rolling import seconds_of, step_seconds
from schemas.values.instants import SECOND, instant, micros

FIRST_US: Final = 0
"""No event is earlier (``rating.usage.carry.EARLIEST_US``)."""
LAST_US: Final = 7_258_118_400 * SECOND
"""2200-01-01: no event is later."""
_MINUTE_US: Final = 60 * SECOND


@dataclass(frozen=True, slots=True)
class LimitInterval:
    """[start_us, end_us), microseconds UTC. ``step_us``: of a rolling window, else 0; ``resets_us``: the instant at
    which the count restarts; None for a rolling window, which never restarts as a whole, and for ever."""

    start_us: int
    end_us: int
    step_us: int = 0
    resets_us: int | None = None


def interval_of(limit: FeatureLimit, span: Span, time_zone: str, now_us: int) -> LimitInterval:
    """The interval of a limit at ``now_us``, which lies in ``span``, the subscription's running period."""
    if limit.rolling is not None:
        seconds = seconds_of(limit.rolling)
        step = step_seconds(seconds)
        step_us, window_us = step * SECOND, -(-seconds // step) * step * SECOND
        step_start_us = now_us // step_us * step_us
        return LimitInterval(step_start_us - window_us, step_start_us + step_us, step_us)
    if limit.reset is None:
        return LimitInterval(FIRST_US, LAST_US)
    if limit.reset == "billing_period":
        return LimitInterval(span.start_us, span.end_us, 0, span.end_us)
    if limit.reset == "minute":
        start_us = now_us // _MINUTE_US * _MINUTE_US
        return LimitInterval(start_us, start_us + _MINUTE_US, 0, start_us + _MINUTE_US)
    start_us, end_us = _calendar(limit.reset, time_zone, now_us // SECOND)
    return LimitInterval(start_us, end_us, 0, end_us)


@lru_cache(maxsize=4096)  # zones shift, and calendars turn, at whole seconds
def _calendar(reset: Granularity, time_zone: str, second: int) -> tuple[int, int]:
    zone, now = parse_zone(time_zone), instant(second * SECOND)
    if reset == "hour":
        day = period_containing(now, "day", zone)
        interval: Interval = next(hour for hour in split(day, "hour", zone) if now in hour)
    else:
        interval = period_containing(now, reset, zone)
    return micros(interval.start), micros(interval.end)
