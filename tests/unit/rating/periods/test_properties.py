"""Properties of periods: they tile time, follow the local calendar, and never depend on where one starts to look."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import get_args
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from rating.periods import (
    BillingInterval,
    Granularity,
    Interval,
    first_period,
    local_midnight,
    next_period,
    period_containing,
    periods_between,
    split,
    successive_periods,
)

ZONES = [
    "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu", "Atlantic/Azores",
    "America/Santiago", "Asia/Beirut", "America/Havana", "Africa/Cairo", "Pacific/Apia", "Pacific/Kiritimati",
    "America/St_Johns", "Europe/London", "Pacific/Chatham", "America/Sao_Paulo", "Asia/Tehran", "Africa/Casablanca",
]  # fmt: skip

zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(1985, 1, 1), date(2035, 12, 31))
instants = st.integers(0, 51 * 365 * 86_400).map(lambda s: datetime(1985, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
intervals: st.SearchStrategy[BillingInterval] = st.sampled_from(get_args(BillingInterval))
granularities: st.SearchStrategy[Granularity] = st.sampled_from(["hour", "day", "week", "month"])
anchors = st.none() | days


def assert_tiles(pieces: list[Interval]) -> None:
    assert all(piece.end == second_piece.start for piece, second_piece in pairwise(pieces))


@given(days, zones)
def test_a_day_starts_at_the_first_instant_whose_local_date_has_come(day: date, zone: ZoneInfo) -> None:
    # Since 1985 all these zones have shifted on quarter hours, so a scan in such steps sees every one.
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=27)
    while instant.astimezone(zone).date() < day:
        instant += timedelta(minutes=15)
    assert local_midnight(day, zone) == instant


@given(instants, intervals, zones, anchors)
def test_successive_periods_tile_time_from_the_start(
    start: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None
) -> None:
    periods = list(islice(successive_periods(start, interval, zone, anchor), 30))
    assert periods[0].start == start
    assert_tiles(periods)
    for period in periods[1:]:
        assert period == period_containing(period.start, interval, zone, anchor)
        assert local_midnight(period.end.astimezone(zone).date(), zone) == period.end


@given(instants, intervals, zones, anchors)
def test_every_instant_is_in_exactly_its_period(
    instant: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date | None
) -> None:
    period = period_containing(instant, interval, zone, anchor)
    assert instant in period
    assert period_containing(period.start, interval, zone, anchor) == period
    assert period_containing(period.end - timedelta(microseconds=1), interval, zone, anchor) == period
    assert period_containing(period.end, interval, zone, anchor).start == period.end


@given(instants, st.sampled_from(["month", "quarter", "year"]), zones, days)
def test_anchored_periods_start_on_the_anchors_day_or_the_months_last(
    instant: datetime, interval: BillingInterval, zone: ZoneInfo, anchor: date
) -> None:
    start = period_containing(instant, interval, zone, anchor).start
    # Just before the boundary it is the day before, also where the boundary's own midnight does not exist.
    day = (start - timedelta(microseconds=1)).astimezone(zone).date() + timedelta(days=1)
    assert day.day == min(anchor.day, monthrange(day.year, day.month)[1])
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    assert months % {"month": 1, "quarter": 3, "year": 12}[interval] == 0


@given(instants, intervals, zones, zones, anchors, anchors)
def test_after_any_move_periods_still_tile_and_none_is_a_splinter(
    start: datetime,
    interval: BillingInterval,
    zone: ZoneInfo,
    other_zone: ZoneInfo,
    anchor: date | None,
    other_anchor: date | None,
) -> None:
    previous_first_period = first_period(start, interval, zone, anchor)
    later_next_period = next_period(previous_first_period.end, interval, other_zone, other_anchor)
    assert later_next_period.start == previous_first_period.end
    assert later_next_period.duration >= timedelta(hours=12 if interval == "day" else 27)
    longest = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[interval]
    assert later_next_period.duration <= timedelta(days=longest, hours=27 + 26)
    settled = next_period(later_next_period.end, interval, other_zone, other_anchor)
    assert settled == period_containing(settled.start, interval, other_zone, other_anchor)


@given(instants, st.timedeltas(timedelta(0), timedelta(days=900)), intervals, zones, anchors)
def test_periods_between_are_all_that_have_ended(
    start: datetime, length: timedelta, interval: BillingInterval, zone: ZoneInfo, anchor: date | None
) -> None:
    end = start + length
    ended = list(periods_between(start, end, interval, zone, anchor))
    assert_tiles(ended)
    assert all(period.end <= end for period in ended)
    running = (
        next_period(ended[-1].end, interval, zone, anchor) if ended else first_period(start, interval, zone, anchor)
    )
    assert running.end > end


@given(instants, st.timedeltas(timedelta(microseconds=1), timedelta(days=40)), granularities, zones)
def test_pieces_tile_the_interval_and_each_is_in_one_local_unit(
    start: datetime, length: timedelta, by: Granularity, zone: ZoneInfo
) -> None:
    interval = Interval(start, start + length)
    pieces = list(split(interval, by, zone))
    assert (pieces[0].start, pieces[-1].end) == (interval.start, interval.end)
    assert_tiles(pieces)
    keys = {"hour": "%Y-%m-%d %H %z", "day": "%Y-%m-%d", "week": "%G-%V", "month": "%Y-%m"}
    labels = []
    for piece in pieces:
        last_value = piece.end - timedelta(microseconds=1)
        # A unit may run back over its own start in a shift at midnight: compare its first and last date at most.
        labels.append(max(f"{instant.astimezone(zone):{keys[by]}}" for instant in (piece.start, last_value)))
        if by == "hour":
            assert f"{piece.start.astimezone(zone):{keys[by]}}" == f"{last_value.astimezone(zone):{keys[by]}}"
    assert len(set(labels)) == len(labels)
