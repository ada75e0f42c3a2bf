"""How far ahead `weir sandbox advance` sets the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deploy.cli.errors import Failure
from deploy.cli.operation.sandbox import seconds_ahead

REAL = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = 86_400


@pytest.mark.parametrize(
    ("standing", "days", "months", "to", "ahead"),
    [
        (0, 1, 0, "", DAY),
        (5, 2, 0, "", 2 * DAY + 5),
        (0, 0, 1, "", 28 * DAY),  # the last day of February
        (0, 1, 13, "", (365 + 28 + 1) * DAY),
        (0, 0, 0, "2026-02-01", DAY // 2),
        (0, 0, 0, "2026-01-31T12:00:00.25Z", 1),
        (DAY // 2, 0, 0, "2026-02-01T00:00:00Z", DAY // 2),
    ],
)
def test_it_is_the_distance_from_the_present(standing: int, days: int, months: int, to: str, ahead: int) -> None:
    assert seconds_ahead(standing, REAL, days=days, months=months, to=to) == ahead


def test_an_instant_behind_the_clock_is_refused_and_so_is_one_that_no_calendar_has() -> None:
    with pytest.raises(Failure, match="goes only forward"):
        seconds_ahead(DAY, REAL, to="2026-02-01")
    with pytest.raises(Failure, match="beyond the year"):
        seconds_ahead(0, REAL, months=100_000)
    later = REAL + timedelta(days=1)
    assert seconds_ahead(7, later, days=1) == seconds_ahead(7, REAL, days=1)
