"""A gateway's clock beside Kafka's: what a delivery report tells of it, and that a wrong one takes no events."""

from __future__ import annotations

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME
from hypothesis import given
from hypothesis import strategies as st

from ingest.delivery.clock_agreement import BELIEVED_SECONDS, CLOCK_WRONG, VOUCHED_SECONDS, GatewayClock
from schemas.kafka.clock import TOLERANCE_US, ClockError, error_of, middle_us, words
from schemas.values.instants import DAY, SECOND

NOW = 1_800_000_000 * SECOND
ERRORS = st.one_of(st.integers(-60 * DAY, 60 * DAY), st.integers(-10 * SECOND, 10 * SECOND))


@given(ERRORS, st.integers(0, 20 * SECOND), st.integers(0, 20 * SECOND))
def test_the_error_lies_within_what_a_report_tells_of_it(error_us: int, before_us: int, after_us: int) -> None:
    sent, reported = NOW + error_us, NOW + before_us + after_us + error_us  # by the wrong clock
    result = error_of(sent, (TIMESTAMP_LOG_APPEND_TIME, (NOW + before_us) // 1000), reported)
    assert result is not None
    assert result.least_us <= error_us <= result.most_us
    assert result.width_us <= before_us + after_us + 1000
    if result.beyond_us:  # never said of a clock that is right, however long Kafka took
        assert abs(error_us) > TOLERANCE_US
        assert (result.beyond_us > 0) == (error_us > 0)
    elif abs(error_us) > TOLERANCE_US + result.width_us:
        raise AssertionError("a clock that is far off was not found")


@pytest.mark.parametrize("stamp", [(TIMESTAMP_CREATE_TIME, NOW // 1000), (0, 0), (TIMESTAMP_LOG_APPEND_TIME, -1)])
def test_a_topic_without_append_times_tells_nothing(stamp: tuple[int, int]) -> None:
    assert error_of(NOW, stamp, NOW) is None


def gateway(error_us: int) -> tuple[GatewayClock, list[int]]:
    """A clock, and the error that it has."""
    errors = [error_us]
    return GatewayClock(lambda: NOW + errors[0]), errors


def delivered(clock: GatewayClock, took_us: int = 2000) -> None:
    clock.measure(clock.now_us() - took_us, (TIMESTAMP_LOG_APPEND_TIME, NOW // 1000))


@pytest.mark.parametrize(
    ("error_us", "told"),
    [
        (-40 * DAY, "40.0 days behind Kafka's"),
        (3 * DAY, "3.0 days ahead of Kafka's"),
        (7 * SECOND, "6 s ahead of Kafka's"),
    ],
)
def test_a_wrong_clock_takes_no_events_until_it_is_set_right(error_us: int, told: str) -> None:
    clock, errors = gateway(error_us)
    assert list(clock.check()) == []
    delivered(clock)
    (reason,) = clock.check()
    assert (reason.name, reason.refuses) == (CLOCK_WRONG, True)
    assert told in str(reason)
    errors[0] = 0
    delivered(clock)
    assert list(clock.check()) == []


def test_a_right_clock_is_believed_though_kafka_takes_its_time() -> None:
    clock, errors = gateway(1 * SECOND)
    delivered(clock, took_us=30 * SECOND)
    assert list(clock.check()) == []
    errors[0] = 9 * SECOND
    delivered(clock)
    delivered(clock, took_us=30 * SECOND)  # says nothing: it may be right or wrong
    assert clock.wrong


def test_what_nobody_can_measure_again_is_not_believed_for_ever() -> None:
    """Without usage.clock only a delivery tells, and a gateway that refuses delivers nothing: a step of a second's
    length would stop it."""
    errors, steady = [-9 * SECOND], [100.0]
    clock = GatewayClock(lambda: NOW + errors[0], lambda: steady[0])
    delivered(clock)
    assert clock.wrong
    errors[0] = 0
    steady[0] += BELIEVED_SECONDS
    assert [reason.name for reason in clock.check()] == [CLOCK_WRONG]
    delivered(clock, took_us=30 * SECOND)  # says nothing, so it does not make the old one younger
    steady[0] += 0.1
    assert (clock.wrong, list(clock.check())) == (False, [])
    errors[0] = -9 * SECOND
    delivered(clock)  # the first delivery after it: still wrong
    assert clock.wrong


def test_one_broker_whose_clock_is_wrong_stops_nothing() -> None:
    errors, steady = [0], [100.0]
    clock = GatewayClock(lambda: NOW + errors[0] + int(steady[0] * SECOND), lambda: steady[0])

    def report(broker_us: int) -> None:
        """By a broker that is ahead by ``broker_us``."""
        now = clock.now_us()
        clock.measure(now - 2000, (TIMESTAMP_LOG_APPEND_TIME, (now - errors[0] + broker_us) // 1000))

    report(-60 * SECOND)  # it may be the first that is asked
    assert clock.wrong
    report(0)
    assert not clock.wrong
    for _ in range(3):
        steady[0] += 60
        report(-60 * SECOND)
        assert (clock.wrong, list(clock.check())) == (False, [])
    errors[0] = 7 * SECOND  # now it is this clock that was set: nobody's word of before stands
    report(0)
    assert clock.wrong
    errors[0] = 0
    report(0)
    steady[0] += VOUCHED_SECONDS + 1
    report(-60 * SECOND)
    assert clock.wrong


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [([], None), ([5], 5000), ([9, 5], 5000), ([5, 1, 9_999_999], 5000), ([5, 5, 1], 5000), ([-1], None)],
)
def test_one_broker_whose_clock_is_wrong_does_not_tell_the_time(stamps: list[int], expected: int | None) -> None:
    kinds = [(TIMESTAMP_CREATE_TIME, 77), *((TIMESTAMP_LOG_APPEND_TIME, ms) for ms in stamps)]
    assert middle_us(kinds) == expected


def test_words() -> None:
    assert words(-7 * SECOND) == "7 s behind Kafka's"
    assert ClockError(0, 0).beyond_us == 0
