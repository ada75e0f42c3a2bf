"""Instants as integers, and their text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.values.instants import instant, micros, parse_rfc3339, rfc3339

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=OFFSETS)  # noqa: DTZ001


@given(MOMENTS)
def test_there_and_back(moment: datetime) -> None:
    assert instant(micros(moment)) == moment
    assert parse_rfc3339(rfc3339(micros(moment))) == moment
    assert parse_rfc3339(moment.isoformat()).utcoffset() == timedelta(0)


@given(MOMENTS, st.integers(0, 10**9))
def test_order_and_distance(moment: datetime, later: int) -> None:
    assert micros(moment) + later == micros(moment.astimezone(UTC) + timedelta(microseconds=later))


def test_text_by_hand() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(1) == "1970-01-01T00:00:00.000001Z"
    assert rfc3339(-1000) == "1969-12-31T23:59:59.999Z"
    assert micros(parse_rfc3339("2013-11-03T01:30:00-04:00")) == 1_383_456_600_000_000


@pytest.mark.parametrize(
    ("text", "message"), [("2026-01-01T00:00:00", "append Z"), ("soon", "RFC 3339"), ("", "RFC 3339")]
)
def test_what_is_no_instant_is_refused_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rfc3339(text)


def test_a_naive_datetime_is_no_instant() -> None:
    with pytest.raises(ValueError, match="append Z"):
        micros(datetime(2026, 1, 1))  # noqa: DTZ001
