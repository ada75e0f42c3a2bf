"""When a consumer counts as silent, and when it is excused."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stream_processors.app import REBALANCE_SECONDS
from stream_processors.upkeep.watchdog import (
    BALANCING,
    BUSY,
    CHECK_SECONDS,
    REST_SECONDS,
    STALL_SECONDS,
    StallTimer,
    Watchdog,
    Watched,
)


def seconds_until_noticed(**changed: Any) -> float | None:
    """The first check at which a consumer that last moved at 0 is noticed within an hour; None: never."""
    stillness = StallTimer(0.0, STALL_SECONDS)
    observed: dict[str, Any] = {
        "looked_for": 0.01,
        "behind": True,
        "excused": False,
        "tolerance": 1.0,
        "moved_at": 0.0,
    } | changed
    for check in range(1, 1800):
        now = check * CHECK_SECONDS
        if stillness.seen(now, **observed):
            return now
    return None


def test_a_silent_consumer_is_noticed_in_time_to_be_back_within_half_a_minute() -> None:
    noticed = seconds_until_noticed()
    assert noticed is not None
    assert STALL_SECONDS < noticed <= 24


@pytest.mark.parametrize(
    "excuse", [{"behind": False}, {"excused": True}],
    ids=lambda excuse: next(iter(excuse))
)  # fmt: skip
def test_nothing_to_read_and_failing_neighbours_excuse(excuse: dict[str, Any]) -> None:
    assert seconds_until_noticed(**excuse) is None


def test_the_time_of_slow_looks_does_not_count_and_the_time_between_them_does() -> None:
    """On a busy machine every look may be slow, and a consumer that stands still is noticed all the same."""
    look, stillness, now = 3.0, StallTimer(0.0, STALL_SECONDS), 0.0
    observed: dict[str, Any] = {"behind": True, "excused": False, "tolerance": 1.0, "moved_at": 0.0}
    looks = 0
    while not (still := stillness.seen(now, looked_for=look if looks else 0.0, **observed)):
        looks += 1
        now += CHECK_SECONDS + look
        assert now < 100
    assert looks * CHECK_SECONDS == still > STALL_SECONDS
    assert stillness.seen(now + 600, looked_for=600, **observed) == still  # away for ten minutes: no more than before


def test_work_gets_longer_than_a_request_to_clickhouse_may_take_and_a_rebalance_longer_than_kafka_waits() -> None:
    working, balancing = seconds_until_noticed(tolerance=BUSY), seconds_until_noticed(tolerance=BALANCING)
    assert working is not None
    assert balancing is not None
    assert working > STALL_SECONDS * BUSY > 2 * 120
    assert balancing > STALL_SECONDS * BALANCING > 2 * REBALANCE_SECONDS


def test_time_counts_from_the_end_of_the_excuse_and_from_the_last_step() -> None:
    stillness = StallTimer(0.0, 20.0)
    calm: dict[str, Any] = {"looked_for": 0.0, "tolerance": 1.0, "behind": True}
    assert stillness.seen(100.0, excused=True, moved_at=0.0, **calm) == 0.0
    assert stillness.seen(119.0, excused=False, moved_at=0.0, **calm) == 0.0
    assert stillness.seen(121.0, excused=False, moved_at=0.0, **calm) == 21.0
    assert stillness.seen(122.0, excused=False, moved_at=110.0, **calm) == 0.0
    assert stillness.seen(131.0, excused=False, moved_at=110.0, **calm) == 21.0


def test_a_long_rebalance_does_not_count_against_who_then_gets_partitions() -> None:
    stillness = StallTimer(0.0, 20.0)
    behind: dict[str, Any] = {"looked_for": 0.0, "behind": True, "excused": False, "moved_at": 0.0}
    for now in range(2, 60, 2):
        assert stillness.seen(float(now), tolerance=BALANCING, **behind) == 0.0
    assert stillness.seen(60.0, tolerance=1.0, **behind) == 0.0
    assert stillness.seen(80.0, tolerance=1.0, **behind) == 0.0
    assert stillness.seen(82.0, tolerance=1.0, **behind) == 22.0


def test_the_watchdog_goes_on_whatever_a_look_raises() -> None:
    rounds = iter((False, False, True))
    stopping: Any = SimpleNamespace(wait=lambda _: next(rounds))
    looks: list[int] = []

    def behind() -> bool:
        looks.append(len(looks))
        raise LookupError("what nobody thought of")

    consumer = Watched("a consumer", behind, lambda: 0.0, lambda: True, lambda: 1.0)
    Watchdog([], stopping)._run(consumer)
    assert looks == [0, 1]


def test_a_consumer_with_nothing_to_read_is_looked_at_less_often() -> None:
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) > 4

    stopping: Any = SimpleNamespace(wait=wait)
    behind = iter((False, False, True, True))
    consumer = Watched("a consumer", lambda: next(behind), lambda: 0.0, lambda: False, lambda: 1.0)
    Watchdog([], stopping)._run(consumer)
    assert pauses == [CHECK_SECONDS, REST_SECONDS, REST_SECONDS, CHECK_SECONDS, CHECK_SECONDS]


@pytest.mark.parametrize(("moved_at", "looks"), [(time.monotonic, 0), (lambda: 0.0, 1)])
def test_of_a_consumer_that_has_just_moved_nothing_is_asked(moved_at: Callable[[], float], looks: int) -> None:
    rounds = iter((False, True))
    stopping: Any = SimpleNamespace(wait=lambda _: next(rounds))
    asked: list[str] = []

    def behind() -> bool:
        asked.append("behind")
        return False

    Watchdog([], stopping)._run(Watched("a consumer", behind, moved_at, lambda: False, lambda: 1.0))
    assert len(asked) == looks
