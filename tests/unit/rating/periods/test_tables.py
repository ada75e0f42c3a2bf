"""Periods against tables worked out by hand: shifts at midnight, half-hour zones, leap days, month ends, moves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest

from rating.periods import (
    BillingInterval,
    Granularity,
    Interval,
    first_period,
    local_midnight,
    next_period,
    parse_range,
    parse_zone,
    period_containing,
    periods_between,
    split,
    successive_periods,
)

NEW_YORK = parse_zone("America/New_York")
KOLKATA = parse_zone("Asia/Kolkata")
UTC_ZONE = parse_zone("UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def span(start: str, end: str) -> Interval:
    return Interval(at(start), at(end))


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("America/New_York", "2013-03-10", "2013-03-10T05:00Z"),  # the shift is at 02:00, midnight is ordinary
        ("America/New_York", "2013-03-11", "2013-03-11T04:00Z"),
        ("Asia/Kolkata", "2024-02-29", "2024-02-28T18:30Z"),
        ("Australia/Lord_Howe", "2023-10-01", "2023-09-30T13:30Z"),
        ("Australia/Lord_Howe", "2023-10-02", "2023-10-01T13:00Z"),
        ("America/Santiago", "2023-09-03", "2023-09-03T04:00Z"),  # 00:00 is skipped: the day starts at 01:00
        ("America/Santiago", "2023-04-02", "2023-04-02T04:00Z"),  # 24:00 goes back to 23:00 of the day before
        ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00Z"),  # 00:00 is skipped
        ("Atlantic/Azores", "2023-03-26", "2023-03-26T01:00Z"),  # 00:00 is skipped
        ("Atlantic/Azores", "2023-10-29", "2023-10-29T00:00Z"),  # 00:00 happens twice: the first
        ("America/Havana", "2023-11-05", "2023-11-05T04:00Z"),  # 00:00 happens twice: the first
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30Z"),  # 23:30 jumps to 00:30
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z"),  # the whole day is skipped
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z"),
    ],
)
def test_local_midnight(zone: str, day: str, expected: str) -> None:
    assert local_midnight(date.fromisoformat(day), parse_zone(zone)) == at(expected)


@pytest.mark.parametrize(
    ("interval", "anchor", "instant", "expected"),
    [
        ("day", None, "2013-03-10T12:00Z", ("2013-03-10T05:00Z", "2013-03-11T04:00Z")),  # 23 hours
        ("day", None, "2013-11-03T12:00Z", ("2013-11-03T04:00Z", "2013-11-04T05:00Z")),  # 25 hours
        ("week", None, "2013-03-13T12:00Z", ("2013-03-11T04:00Z", "2013-03-18T04:00Z")),  # from Monday
        ("week", "2020-01-01", "2013-03-13T03:59Z", ("2013-03-06T05:00Z", "2013-03-13T04:00Z")),  # from Wednesday
        ("month", None, "2013-03-01T04:59:59Z", ("2013-02-01T05:00Z", "2013-03-01T05:00Z")),
        ("month", None, "2013-03-01T05:00Z", ("2013-03-01T05:00Z", "2013-04-01T04:00Z")),
        ("quarter", None, "2013-03-31T12:00Z", ("2013-01-01T05:00Z", "2013-04-01T04:00Z")),
        ("quarter", "2012-11-30", "2013-03-01T12:00Z", ("2013-02-28T05:00Z", "2013-05-30T04:00Z")),
        ("year", None, "2013-06-01T00:00Z", ("2013-01-01T05:00Z", "2014-01-01T05:00Z")),
        ("year", "2012-02-29", "2015-02-28T05:00Z", ("2015-02-28T05:00Z", "2016-02-29T05:00Z")),
        ("month", "2030-01-31", "2013-04-29T12:00Z", ("2013-03-31T04:00Z", "2013-04-30T04:00Z")),
    ],
)
def test_period_containing(
    interval: BillingInterval, anchor: str | None, instant: str, expected: tuple[str, str]
) -> None:
    day = date.fromisoformat(anchor) if anchor else None
    assert period_containing(at(instant), interval, NEW_YORK, day) == span(*expected)


@pytest.mark.parametrize(
    ("anchor", "year", "expected"),
    [
        ("2023-01-31", 2023, ["01-31", "02-28", "03-31", "04-30", "05-31"]),
        ("2023-01-30", 2023, ["01-30", "02-28", "03-30", "04-30", "05-30"]),
        ("2023-01-29", 2024, ["01-29", "02-29", "03-29", "04-29", "05-29"]),
        ("2023-01-31", 2024, ["01-31", "02-29", "03-31", "04-30", "05-31"]),
    ],
)
def test_month_ends_clamp_and_come_back(anchor: str, year: int, expected: list[str]) -> None:
    start = local_midnight(date.fromisoformat(f"{year}-{expected[0]}"), KOLKATA)
    periods = islice(successive_periods(start, "month", KOLKATA, date.fromisoformat(anchor)), 5)
    assert [f"{period.start.astimezone(KOLKATA):%m-%d}" for period in periods] == expected


def test_twelve_months_in_new_york() -> None:
    months = list(periods_between(at("2013-01-01T05:00Z"), at("2014-01-01T05:00Z"), "month", NEW_YORK))
    hours = [month.duration // timedelta(hours=1) for month in months]
    assert hours == [744, 672, 743, 720, 744, 720, 744, 744, 720, 744, 721, 744]
    assert (months[0].start, months[-1].end) == (at("2013-01-01T05:00Z"), at("2014-01-01T05:00Z"))


def test_a_period_that_has_not_ended_is_left_out() -> None:
    start = at("2013-01-01T05:00Z")
    assert list(periods_between(start, at("2013-03-01T04:59:59Z"), "month", NEW_YORK)) == [
        span("2013-01-01T05:00Z", "2013-02-01T05:00Z")
    ]


def test_first_period_starts_where_the_subscription_does() -> None:
    start = at("2024-01-31T20:00Z")  # February 1 in Kolkata
    assert first_period(start, "month", KOLKATA) == span("2024-01-31T20:00Z", "2024-02-29T18:30Z")
    assert first_period(start, "month", UTC_ZONE) == span("2024-01-31T20:00Z", "2024-02-01T00:00Z")


@pytest.mark.parametrize(
    ("interval", "zone", "anchor", "previous_end", "expected"),
    [
        ("month", "America/New_York", None, "2024-01-31T18:30Z", "2024-03-01T05:00Z"),  # moved from Kolkata
        ("month", "Asia/Kolkata", None, "2024-02-01T05:00Z", "2024-02-29T18:30Z"),  # moved from New York
        ("month", "Pacific/Pago_Pago", None, "2024-01-31T10:00Z", "2024-03-01T11:00Z"),  # from Kiritimati, 25 h
        ("day", "America/New_York", None, "2024-01-31T18:30Z", "2024-02-02T05:00Z"),
        ("day", "Pacific/Apia", None, "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
        ("month", "UTC", "2024-01-15", "2024-02-01T00:00Z", "2024-02-15T00:00Z"),  # a new anchor
        ("year", "UTC", None, "2024-12-30T00:00Z", "2025-01-01T00:00Z"),
    ],
)
def test_next_period_starts_where_its_predecessor_ended(
    interval: BillingInterval, zone: str, anchor: str | None, previous_end: str, expected: str
) -> None:
    day = date.fromisoformat(anchor) if anchor else None
    period = next_period(at(previous_end), interval, parse_zone(zone), day)
    assert period == span(previous_end, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013", ("2013-01-01T05:00Z", "2014-01-01T05:00Z")),
        ("2013-Q2", ("2013-04-01T04:00Z", "2013-07-01T04:00Z")),
        ("2013-12", ("2013-12-01T05:00Z", "2014-01-01T05:00Z")),
        ("2013-03-10", ("2013-03-10T05:00Z", "2013-03-11T04:00Z")),
        ("2012-02-29", ("2012-02-29T05:00Z", "2012-03-01T05:00Z")),
        ("2013-01-01..2013-02-01", ("2013-01-01T05:00Z", "2013-02-01T05:00Z")),
        (" 2013-01 .. 2013-04 ", ("2013-01-01T05:00Z", "2013-04-01T04:00Z")),
        ("2013-01-01T00:00:00Z..2013-01-01T12:30:00.5+02:00", ("2013-01-01T00:00Z", "2013-01-01T10:30:00.5Z")),
        ("2013-01-01T00:00:00Z..2013-01-02", ("2013-01-01T00:00Z", "2013-01-02T05:00Z")),
    ],
)
def test_ranges_as_people_write_them(text: str, expected: tuple[str, str]) -> None:
    assert parse_range(text, NEW_YORK) == span(*expected)


@pytest.mark.parametrize(
    ("text", "zone", "problem"),
    [
        ("2013-13", "UTC", "'2013-13' is not in the calendar; check month and day"),
        ("2013-02-29", "UTC", "'2013-02-29' is not in the calendar"),
        ("last month", "UTC", "'last month' is no date; write 2013, "),
        ("", "UTC", "'' is no date"),
        ("2013-01..", "UTC", "'' is no date"),
        ("2013-02..2013-01", "UTC", "is empty: the end is not included"),
        ("2013-01-01..2013-01-01", "UTC", "is empty: the end is not included"),
        ("2013-01-01T00:00..2013-02", "UTC", "has no UTC offset; append Z"),
        ("2013-01-01T00:00:00Z", "UTC", "is an instant, not a range"),
        ("0001-01-01T00:00:00+14:00..2013", "UTC", "beyond the calendar"),
        ("9999", "UTC", "out of range; use years from 1800"),
        ("2011-12-30", "Pacific/Apia", "does not exist in Pacific/Apia"),
    ],
)
def test_wrong_ranges_say_what_to_write(text: str, zone: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is checked next, unescaped
        parse_range(text, parse_zone(zone))
    assert problem in str(caught.value)


@pytest.mark.parametrize("name", ["", "EST5PM", "America", "../UTC", "/etc/passwd", "new york"])
def test_unknown_zones(name: str) -> None:
    with pytest.raises(ValueError, match="is no IANA time zone; write e"):
        parse_zone(name)


@pytest.mark.parametrize(
    ("zone", "day", "by", "minutes"),
    [
        ("America/New_York", "2013-03-10", "hour", [60] * 23),
        ("America/New_York", "2013-11-03", "hour", [60] * 25),
        ("Australia/Lord_Howe", "2023-10-01", "hour", [60, 60, 30] + [60] * 21),
        ("Australia/Lord_Howe", "2023-04-02", "hour", [60, 60, 30] + [60] * 22),
        ("Asia/Kolkata", "2023-04-02", "hour", [60] * 24),
        ("America/Santiago", "2023-09-03", "hour", [60] * 23),
        ("America/Toronto", "1919-03-30", "hour", [60] * 23 + [30]),
        ("America/Toronto", "1919-03-31", "hour", [30] + [60] * 23),
        ("America/Toronto", "1919-03", "month", [31 * 1440 - 60]),
        ("Asia/Kolkata", "2023-02", "week", [5 * 1440] + [7 * 1440] * 3 + [2 * 1440]),
    ],
)
def test_pieces_for_histories(zone: str, day: str, by: Granularity, minutes: list[int]) -> None:
    pieces = split(parse_range(day, parse_zone(zone)), by, parse_zone(zone))
    assert [piece.duration // timedelta(minutes=1) for piece in pieces] == minutes


def test_ragged_ends_cut_the_first_and_the_last_piece() -> None:
    pieces = list(split(span("2023-04-01T14:59:59.5Z", "2023-04-01T15:40Z"), "hour", parse_zone("Australia/Lord_Howe")))
    assert pieces == [
        span("2023-04-01T14:59:59.5Z", "2023-04-01T15:00Z"),
        span("2023-04-01T15:00Z", "2023-04-01T15:30Z"),
        span("2023-04-01T15:30Z", "2023-04-01T15:40Z"),
    ]


def test_intervals_are_half_open_utc_and_not_empty() -> None:
    result = span("2023-01-01T00:00Z", "2023-01-02T00:00Z")
    assert result.start in result
    assert result.end not in result
    for start, end in (
        (datetime(2023, 1, 1), datetime(2023, 1, 2)),  # noqa: DTZ001 - naive on purpose
        (result.start.astimezone(NEW_YORK), result.end.astimezone(NEW_YORK)),
        (result.end, result.start),
        (result.start, result.start),
    ):
        with pytest.raises(ValueError, match=r"is not in UTC|is empty"):
            Interval(start, end)
