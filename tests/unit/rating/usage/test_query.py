"""The usage query as a value: ranges that windows may serve, versions that decide, and what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.usage import Measured, UsageQuery, measured, no_usage, valid_versions
from rating.usage.query import split
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.ledgers.checkpoints import Cut

MILES = Measured("flights.miles", "sum", ((1, 86_400), (2, 3600), (3, 86_400)))


def version(number: int, aggregation: str, begins: int, ends: int) -> ProfileVersion:
    return ProfileVersion(
        "flights.miles", number, "flights", "miles", "miles", f"unit {number}", "flight", aggregation,
        None, (), (), 86_400, begins, ends,
    )  # fmt: skip


VERSIONS = (version(1, "sum", BEGINNING, 100), version(2, "max", 100, 100), version(3, "count", 100, FOREVER))


@st.composite
def adjoining(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    edges = sorted(draw(st.sets(st.integers(-200, 200), min_size=2, max_size=8)))
    return tuple(itertools.pairwise(edges))


@given(intervals=adjoining(), size=st.integers(1, 60))
def test_every_instant_is_either_in_whole_windows_of_one_interval_or_in_the_rest(
    intervals: tuple[tuple[int, int], ...], size: int
) -> None:
    full_split, ragged = split(intervals, size)
    for instant in range(intervals[0][0] - size, intervals[-1][1] + size):
        window = instant // size * size, instant // size * size + size
        inside_one = any(start <= window[0] and window[1] <= end for start, end in intervals)
        in_interval = intervals[0][0] <= instant < intervals[-1][1]
        assert any(start <= window[0] < end for start, end in full_split) == inside_one
        assert any(start <= instant < end for start, end in ragged) == (in_interval and not inside_one)


def test_ranges_that_touch_are_joined_so_that_the_sql_stays_short() -> None:
    assert split([(0, 20), (20, 40)], 10) == (((0, 40),), ())
    assert split([(0, 15), (15, 40)], 10) == (((0, 10), (20, 40)), ((10, 20),))


def test_versions_are_grouped_by_the_size_of_their_windows() -> None:
    assert MILES.versions_by_size() == {3600: (2,), 86_400: (1, 3)}


def test_the_last_version_valid_in_the_interval_decides_the_aggregation() -> None:
    assert measured(VERSIONS, 0, 100).aggregation == "sum"
    assert measured(VERSIONS, 0, 101).aggregation == "count"
    assert measured(VERSIONS, 0, 101).unit == "unit 3"
    assert measured(VERSIONS, 0, 1).windows == ((1, 86_400), (2, 86_400), (3, 86_400))


def test_a_version_that_was_never_valid_is_not_among_the_valid_ones() -> None:
    assert [valid_version.version for valid_version in valid_versions(VERSIONS, 0, 1000)] == [1, 3]
    assert [valid_version.version for valid_version in valid_versions(VERSIONS, 100, 1000)] == [3]


def test_only_sums_and_counts_are_zero_without_usage() -> None:
    assert {name: no_usage(name).quantity for name in ("sum", "count", "count_unique")} == {
        "sum": Decimal(0), "count": Decimal(0), "count_unique": Decimal(0)
    }  # fmt: skip
    assert [no_usage(name).quantity for name in ("max", "min", "latest")] == [None, None, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"end_us": 10}, "empty interval"),
        ({"buckets_us": (11, 15)}, "begin at start_us"),
        ({"buckets_us": (10, 15, 15)}, "ascend"),
        ({"buckets_us": (10, 20)}, "end before end_us"),
        ({"plan": "windows"}, "needs rolled_up"),
        ({"plan": "windows", "rolled_up": Cut(1, {}, 0, 0), "as_of": Cut(2, {}, 0, 0)}, "2 is not rolled up"),
        ({"plan": "windows", "rolled_up": Cut(1, {}, 0, 0), "together": (MILES,)}, "together from records"),
        ({"together": (replace(MILES, carry_over=True),)}, "together from records"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused(changes: dict[str, object], message: str) -> None:
    arguments = {"namespace": "n", "profile": MILES, "start_us": 10, "end_us": 20} | changes
    with pytest.raises(ValueError, match=message):
        UsageQuery(**arguments)
