"""Periods and their parts: they tile time, sum to the period, and a fee's parts to the fee; half-hour zones, shifts,
leap days."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, dropwhile, islice, pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoicing.charges import proration
from rating.pricing import parse_price, rate
from rating.subscriptions import billing_periods
from rating.subscriptions.billing_periods import Span, near, spans
from rating.subscriptions.timeline import Segment, Timeline
from schemas.catalog.base import BillingInterval
from schemas.catalog.models import Plan
from schemas.catalog.profiles import FOREVER
from schemas.values.instants import DAY, SECOND, micros, rfc3339
from schemas.values.record_copy import replace

ZONES = [
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Chatham",
    "America/Santiago",
    "Pacific/Apia",
]
HOUR = 3600 * SECOND
YEARS = 366 * DAY


def us(text: str) -> int:
    return micros(datetime.fromisoformat(text).astimezone(UTC))


def plan(code: str = "basic", interval: BillingInterval = "month") -> Plan:
    return Plan(code=code, currency="USD", interval=interval)


def line(
    *changes: tuple[int, Plan], end: int = FOREVER, zone: str = "UTC", anchor: date | None = None,
    trial: int | None = None
) -> Timeline:  # fmt: skip
    """On each plan from its instant to the next one's."""
    starts = [at for at, _ in changes]
    segments = tuple(
        Segment(at, until, change, 1, begins=number == 0, anchor=anchor)
        for number, ((at, change), until) in enumerate(zip(changes, [*starts[1:], end], strict=True))
    )
    return Timeline("n", "s", "a", zone, segments, ((starts[0], trial),) if trial is not None else ())


def shares(span: Span) -> list[Fraction]:
    return [Fraction(part.end_us - part.start_us, part.whole_us) for part in span.parts]


def told(span: Span) -> tuple[str, str, list[str]]:
    return rfc3339(span.start_us), rfc3339(span.end_us), [str(share) for share in shares(span)]


intervals: st.SearchStrategy[Any] = st.sampled_from(get_args(BillingInterval))
moments = st.integers(us("1990-01-01T00:00Z"), us("2030-01-01T00:00Z"))


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    start = draw(moments)
    edges = sorted(draw(st.sets(st.integers(start + SECOND, start + YEARS), max_size=3)))
    plans = [plan(f"p{number}", draw(intervals)) for number in range(len(edges) + 1)]
    end = draw(st.just(FOREVER) | st.integers((edges or [start])[-1] + SECOND, start + 2 * YEARS))
    return line(
        *zip([start, *edges], plans, strict=True), end=end, zone=draw(st.sampled_from(ZONES)),
        anchor=draw(st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1))),
        trial=draw(st.none() | st.integers(start + 1, start + YEARS)),
    )  # fmt: skip


@given(timelines())
def test_periods_tile_time_from_start_to_end_and_parts_tile_periods(timeline: Timeline) -> None:
    result = list(islice(spans(timeline, None), 40))
    assert result[0].start_us == timeline.start_us
    assert all(item.end_us == second_item.start_us for item, second_item in pairwise(result))
    assert result[-1].end_us <= timeline.end_us
    for span in result:
        assert [span.start_us, *(part.end_us for part in span.parts)] == [
            *(part.start_us for part in span.parts),
            span.end_us,
        ]
        assert sum(part.end_us - part.start_us for part in span.parts) == span.end_us - span.start_us
        assert all(0 < share <= 1 for share in shares(span))
        assert sum(shares(span)) <= 1
        for part in span.parts:
            segment = next(item for item in timeline.segments if item.start_us <= part.start_us < item.end_us)
            assert (part.plan, part.end_us <= segment.end_us) == (segment.plan, True)
            assert part.trial == any(start <= part.start_us < end for start, end in timeline.trials)


@given(timelines(), st.integers(0, 20))
def test_periods_do_not_depend_on_where_one_begins_to_look(timeline: Timeline, number: int) -> None:
    result = list(islice(spans(timeline, None), number + 3))
    if number < len(result):
        assert list(islice(spans(timeline, result[number].end_us), 2)) == result[number + 1 : number + 3]


anchors = st.none() | st.dates(date(1990, 1, 1), date(1990, 3, 1))
changes = st.tuples(intervals, anchors, st.integers(SECOND, 400 * DAY))


@given(
    moments, st.lists(changes, min_size=1, max_size=3), st.booleans(), st.sampled_from(ZONES),
    st.integers(0, 100 * DAY) | st.integers(0, 4 * YEARS), st.integers(-1, 3),
)  # fmt: skip
def test_the_period_of_an_instant_is_the_same_from_near_it(
    start: int, terms: list[tuple[Any, date | None, int]], alike: bool, zone: str, later_us: int, billed: int
) -> None:
    starts = accumulate((length for _, _, length in terms), initial=start)
    of_plans = [terms[0][0] if alike else interval for interval, _, _ in terms]
    plans = [(at, plan(f"p{at}", interval)) for at, interval in zip(starts, of_plans, strict=False)]
    timeline = line(*plans, zone=zone)
    segments = tuple(replace(segment, anchor=each[1]) for segment, each in zip(timeline.segments, terms, strict=True))
    timeline = replace(timeline, segments=segments)
    now_us = segments[-1].start_us + later_us
    ends = [span.end_us for span in islice(spans(timeline, None), billed + 1)]
    after_us = ends[-1] if ends and ends[-1] <= now_us else None
    expected, following = (
        list(islice(dropwhile(lambda span: span.end_us <= now_us, spans(timeline, begin)), 2))
        for begin in (after_us, near(timeline, after_us, now_us))
    )
    assert following == expected


def test_of_ten_years_of_days_few_are_worked_out() -> None:
    timeline = line((us("2016-02-03T04:05Z"), plan(interval="day")), zone="America/New_York")
    now_us = us("2026-03-10T12:00Z")
    begin = near(timeline, None, now_us)
    assert begin == us("2026-03-10T04:00Z")
    assert near(timeline, us("2026-03-09T04:00Z"), now_us) == us("2026-03-09T04:00Z")  # what is near enough stays


@given(moments, intervals, st.sampled_from(ZONES), st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1)))
def test_every_period_but_the_first_is_whole(start: int, interval: Any, zone: str, anchor: date | None) -> None:
    result = list(islice(spans(line((start, plan(interval=interval)), zone=zone, anchor=anchor), None), 14))
    assert [shares(span) for span in result[1:]] == [[Fraction(1)]] * 13


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=6),
    st.decimals("0.01", 10_000, places=2),
    st.sampled_from([("USD", "0.01"), ("JPY", "1"), ("KWD", "0.001")]),
    st.integers(1, 1000),
)
def test_a_fees_parts_sum_to_the_fee_within_half_a_minor_unit_a_part(
    lengths: list[int], amount: Decimal, currency: tuple[str, str], scale: int
) -> None:
    fee = rate(parse_price({"model": "flat", "amount": str(amount)}, currency[0]), Decimal(1), currency=currency[0])
    parts = []
    for length in lengths:
        of = proration(length * scale, sum(lengths) * scale)
        price = parse_price({"model": "flat", "amount": str(amount)}, currency[0]).model_copy(update={"proration": of})
        parts.append(rate(price, Decimal(1), currency=currency[0]))
    exact = sum(part.unrounded for part in parts) - fee.unrounded
    assert abs(exact) <= Decimal("0.000000000001") * len(parts)
    rounded = sum(part.amount for part in parts) - fee.unrounded
    assert abs(rounded) <= Decimal(currency[1]) / 2 * len(parts) + abs(exact)
    assert all(sum(step.amount for step in part.steps) == part.unrounded for part in parts)


@pytest.mark.parametrize(
    ("zone", "start", "interval", "anchor", "expected"),
    [
        ("UTC", "2024-01-15T00:00Z", "month", None, ("2024-02-01T00:00:00Z", "17/31")),
        ("UTC", "2024-02-15T00:00Z", "month", None, ("2024-03-01T00:00:00Z", "15/29")),  # a leap year
        ("UTC", "2023-02-15T00:00Z", "month", None, ("2023-03-01T00:00:00Z", "1/2")),
        ("UTC", "2024-02-29T00:00Z", "year", None, ("2025-01-01T00:00:00Z", "307/366")),
        ("America/New_York", "2013-03-10T07:00Z", "month", None,
            ("2013-04-01T04:00:00Z", "525/743")),  # March lacks an hour
        ("America/New_York", "2013-11-03T06:00Z", "day", None, ("2013-11-04T05:00:00Z", "23/25")),  # a day of 25 hours
        ("Asia/Kolkata", "2024-01-31T20:00Z", "month", None, ("2024-02-29T18:30:00Z", "463/464")),
        ("Asia/Kathmandu", "2024-01-31T18:15Z", "month", None, ("2024-02-29T18:15:00Z", "1")),  # +05:45
        ("Australia/Lord_Howe", "2023-09-30T13:30Z", "day", None, ("2023-10-01T13:00:00Z", "1")),  # 23.5 hours
        ("Australia/Lord_Howe", "2023-10-01T01:15Z", "day", None, ("2023-10-01T13:00:00Z", "1/2")),
        ("Pacific/Chatham", "2024-04-06T10:15Z", "week", None,
            ("2024-04-07T11:15:00Z", "25/169")),  # its last day has 25 hours
        ("UTC", "2024-02-10T00:00Z", "month", "2024-01-31",
            ("2024-02-29T00:00:00Z", "19/29")),  # 31 January to 29 February
        ("UTC", "2024-02-29T00:00Z", "month", "2024-01-31", ("2024-03-31T00:00:00Z", "1")),
        ("UTC", "2024-03-01T00:00Z", "quarter", "2023-11-30", ("2024-05-30T00:00:00Z", "90/91")),
        ("UTC", "2024-06-30T00:00Z", "year", "2020-02-29", ("2025-02-28T00:00:00Z", "243/365")),
    ],
)  # fmt: skip
def test_first_periods_by_hand(zone: str, start: str, interval: Any, anchor: str | None, expected: Any) -> None:
    day = date.fromisoformat(anchor) if anchor else None
    first_span = next(spans(line((us(start), plan(interval=interval)), zone=zone, anchor=day), None))
    assert (rfc3339(first_span.end_us), str(shares(first_span)[0])) == expected


def test_a_plan_change_and_an_end_share_the_period() -> None:
    timeline = line(
        (us("2024-01-01T00:00Z"), plan()), (us("2024-02-11T00:00Z"), plan("pro")), end=us("2024-03-16T12:00Z")
    )
    assert [told(span) for span in spans(timeline, None)] == [
        ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", ["1"]),
        ("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", ["10/29", "19/29"]),
        ("2024-03-01T00:00:00Z", "2024-03-16T12:00:00Z", ["1/2"]),
    ]


def test_a_plan_of_another_interval_begins_a_period() -> None:
    timeline = line((us("2024-01-01T00:00Z"), plan()), (us("2024-02-11T00:00Z"), plan("pro", "year")))
    assert [told(span) for span in islice(spans(timeline, None), 4)] == [
        ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", ["1"]),
        ("2024-02-01T00:00:00Z", "2024-02-11T00:00:00Z", ["10/29"]),
        ("2024-02-11T00:00:00Z", "2025-01-01T00:00:00Z", ["325/366"]),
        ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", ["1"]),
    ]


def test_after_a_move_the_period_is_whole_and_after_a_new_anchor_it_is_not() -> None:
    start = us("2024-01-01T00:00Z")
    moved = line((start, plan()), zone="America/New_York")
    assert told(next(spans(moved, us("2024-02-01T00:00Z")))) == ("2024-02-01T00:00:00Z", "2024-03-01T05:00:00Z", ["1"])
    anchored = line((start, plan()), anchor=date(2024, 1, 15))
    assert told(next(spans(anchored, us("2024-02-01T00:00Z")))) == (
        "2024-02-01T00:00:00Z",
        "2024-02-15T00:00:00Z",
        ["14/31"],
    )


def test_a_trial_is_a_part_of_its_own() -> None:
    timeline = line((us("2024-01-01T00:00Z"), plan()), trial=us("2024-01-11T00:00Z"))
    first_span = next(spans(timeline, None))
    assert [(part.trial, str(share)) for part, share in zip(first_span.parts, shares(first_span), strict=True)] == [
        (True, "10/31"),
        (False, "21/31"),
    ]
    assert not first_span.in_advance


def test_a_period_is_worked_out_once_for_one_course_and_anew_for_every_other() -> None:
    start, basic, other = us("2026-01-10T00:00:00Z"), plan(), plan("other")
    courses = [
        line((start, basic)),
        line((start, basic), zone="America/New_York"),
        line((start, basic), anchor=date(2026, 1, 20)),
        line((start, basic), trial=start + 5 * DAY),
        line((start, basic), end=start + 9 * DAY),
        line((start, plan(interval="week"))),
        line((start, basic), (start + 3 * DAY, other)),
        line((start, basic), (start + 4 * DAY, other)),
        line((start, other)),
        line((start + DAY, basic)),
    ]
    billing_periods._SPANS.clear()
    known = [list(islice(spans(course, None), 3)) for course in courses]
    assert [list(islice(spans(course, None), 3)) for course in courses] == known
    for course, expected in zip(courses, known, strict=True):
        billing_periods._SPANS.clear()
        assert list(islice(spans(course, None), 3)) == expected
    first, again = (next(spans(line((start, basic)), None)) for _ in range(2))
    assert first is again
    for number in range(2 * billing_periods._MOST_SPANS):
        next(spans(line((start + number * HOUR, basic)), None))
    assert len(billing_periods._SPANS) <= billing_periods._MOST_SPANS
