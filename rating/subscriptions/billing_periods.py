"""Billing periods of a subscription and their parts (one plan version each, in trial or not). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

from msgspec import Struct

from rating.periods import BillingInterval, first_period, next_period, parse_zone, period_containing
from rating.subscriptions.timeline import Segment, Timeline
from schemas.catalog.models import Plan
from schemas.values.instants import SECOND, instant, micros
from schemas.values.record_copy import replace

# A period that starts this near to a boundary of its calendar is a whole one: the account moved to another time zone.
_MOVED_US: Final = 27 * 3600 * SECOND


class PeriodPart(Struct, frozen=True):
    """[start_us, end_us) within a period. ``whole_us``: length of the full period to which a flat fee or a minimum
    refers."""

    start_us: int
    end_us: int
    plan: Plan
    plan_version: int
    whole_us: int
    trial: bool = False


class Span(Struct, frozen=True):
    """A billing period. ``parts`` are in order and cover it, except for time without a subscription; ``plan`` is
    the one at its end."""

    start_us: int
    end_us: int
    plan: Plan
    plan_version: int
    parts: tuple[PeriodPart, ...]

    @property
    def in_advance(self) -> bool:
        """Whether fees in advance are billed before it begins; not in a trial, which may end without a bill."""
        return bool(self.parts) and not self.parts[0].trial


def spans(timeline: Timeline, after_us: int | None) -> Iterator[Span]:
    """The periods after the one that ended at ``after_us`` (as stored); None: all periods from the start.

    A period ends at the next boundary of its calendar, at the subscription's end, and where a plan with another
    interval begins.
    """
    start = timeline.start_us if after_us is None else after_us
    while start < timeline.end_us:
        span = _span(timeline, start)
        yield span
        start = span.end_us


def near(timeline: Timeline, after_us: int | None, now_us: int) -> int | None:
    """Where ``spans`` can go on from in place of ``after_us``, so that of a long course few periods are worked out: the
    start of one of its periods, not after ``now_us``.

    Two periods into a segment its periods begin at the boundaries of its calendar, whatever went before.
    """
    running = next((segment for segment in timeline.segments if segment.start_us <= now_us < segment.end_us), None)
    if running is None:
        return after_us
    zone, interval = parse_zone(timeline.time_zone), running.plan.interval
    calendar = period_containing(instant(now_us), interval, zone, running.anchor)
    start_us, end_us = micros(calendar.start), micros(calendar.end)
    known_us = max(running.start_us, timeline.start_us if after_us is None else after_us)
    return start_us if known_us + 3 * (end_us - start_us) + _MOVED_US <= start_us else after_us


def span_of(timeline: Timeline, start: int, end: int) -> Span:
    """The period [start, end) as billed earlier, with its parts by the present timeline; none where the
    subscription no longer covers it."""
    if start < timeline.end_us and start < end:
        natural = _span(timeline, start)
        whole_us = natural.parts[0].whole_us if natural.parts else natural.end_us - start
        parts = tuple(_parts(timeline, start, end, whole_us))
        if parts:
            return Span(start, end, parts[-1].plan, parts[-1].plan_version, parts)
    governing = next(
        (segment for segment in reversed(timeline.segments) if segment.start_us <= start), timeline.segments[0]
    )
    return Span(start, end, governing.plan, governing.plan_version, ())


_SPANS: Final[dict[object, tuple[tuple[Segment, ...], Span]]] = {}
_MOST_SPANS: Final = 512


def _span(timeline: Timeline, start: int) -> Span:
    """The period from ``start``, worked out once for subscriptions of one plan and one course from there on: when a
    segment began before ``start`` does not matter. By the plans' identity: they are held beside it, so that their ids
    stay theirs."""
    later_segments = [segment for segment in timeline.segments if segment.end_us > start]
    governing = later_segments[0]
    fresh = governing.start_us == start and (governing.begins or _other_interval(timeline, governing))
    course = [
        (max(segment.start_us, start), segment.end_us, id(segment.plan), segment.plan_version, segment.begins,
         segment.anchor)
        for segment in later_segments
    ]  # fmt: skip
    key = (start, fresh, timeline.time_zone, timeline.trials, *course)
    known = _SPANS.get(key)
    if known is None:
        if len(_SPANS) >= _MOST_SPANS:
            _SPANS.clear()
        known = _SPANS[key] = timeline.segments, _new_span(timeline, start, later_segments, fresh)
    return known[1]


def _new_span(timeline: Timeline, start: int, later_segments: list[Segment], fresh: bool) -> Span:
    governing = later_segments[0]
    interval = governing.plan.interval
    boundary, grid = _boundary(start, interval, timeline.time_zone, governing.anchor, fresh)
    cut = next((one.start_us for one in later_segments if one.plan.interval != interval), boundary)
    end = min(boundary, timeline.end_us, cut)
    begins = fresh or any(one.begins and start < one.start_us < end for one in later_segments)
    moved = not begins and (interval == "day" or abs(start - grid) <= _MOVED_US)
    whole_us = boundary - (start if moved else min(grid, start))
    parts = tuple(_parts(timeline, start, end, whole_us))
    last_segment = next((one for one in reversed(later_segments) if one.start_us < end), governing)
    return Span(start, end, last_segment.plan, last_segment.plan_version, parts)


# Many subscriptions share their boundaries, and the calendar is most of the cost of a plan.
@lru_cache(maxsize=4096)
def _boundary(start: int, interval: BillingInterval, zone: str, anchor: date | None, fresh: bool) -> tuple[int, int]:
    """(end of the period from ``start`` by its calendar, start of the calendar period that ends there)."""
    known = parse_zone(zone)
    follow = first_period if fresh else next_period
    end = micros(follow(instant(start), interval, known, anchor).end)
    return end, _grid(end, interval, zone, anchor)


@lru_cache(maxsize=4096)
def _grid(end: int, interval: BillingInterval, zone: str, anchor: date | None) -> int:
    """The start of the calendar period that ends at ``end``."""
    last = instant(end) - timedelta(microseconds=1)
    return micros(period_containing(last, interval, parse_zone(zone), anchor).start)


def _other_interval(timeline: Timeline, segment: Segment) -> bool:
    return any(
        right is segment and left.plan.interval != right.plan.interval for left, right in pairwise(timeline.segments)
    )


def _parts(timeline: Timeline, start: int, end: int, whole_us: int) -> Iterator[PeriodPart]:
    for segment in _charging(timeline, start, end):
        edges = sorted(
            {edge for trial in timeline.trials for edge in trial if segment.start_us < edge < segment.end_us}
            | {segment.start_us, segment.end_us}
        )
        for begins, ends in pairwise(edges):
            in_trial = any(trial_start <= begins < trial_end for trial_start, trial_end in timeline.trials)
            yield PeriodPart(begins, ends, segment.plan, segment.plan_version, whole_us, in_trial)


def _charging(timeline: Timeline, start: int, end: int) -> list[Segment]:
    """The segments that charge in [start, end); neighbours with equal charges are merged, with the terms of the
    last."""
    charging: list[Segment] = []
    for segment in timeline.segments:
        from_us, until_us = max(segment.start_us, start), min(segment.end_us, end)
        if from_us >= until_us:
            continue
        previous = charging[-1] if charging else None
        if (
            previous is not None
            and previous.end_us == from_us
            and not segment.begins
            and segment.same_charges(previous)
        ):
            from_us, charging = previous.start_us, charging[:-1]
        charging.append(replace(segment, start_us=from_us, end_us=until_us))
    return charging
