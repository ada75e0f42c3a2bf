"""The schedule of faults: repeatable, whole, and never two faults at one place at once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.schedule import DECK, PATH, SHORT, schedule

STACK: dict[str, Any] = {"workers": 3, "gateways": 2, "session_timeout": 2.5}
NAMES = {"worker-0", "worker-1", "worker-2", "gateway", "gateway-1", "clickhouse", "kafka", "rating", "webhooks", PATH}


@given(st.integers(), st.integers(1, 120))
def test_a_schedule_has_as_many_faults_as_asked_for_and_is_a_function_of_its_seed(seed: int, faults: int) -> None:
    rounds = schedule(seed, faults, **STACK)
    assert sum(map(len, rounds)) == faults
    assert rounds == schedule(seed, faults, **STACK)
    for struck in rounds:
        targets = [fault.target for fault in struck]
        assert len(set(targets)) == len(targets) <= 3
        assert set(targets) <= NAMES
        assert struck[0].after == 0.0
        assert [fault.after for fault in struck] == sorted(fault.after for fault in struck)


@given(st.integers())
def test_a_short_schedule_has_one_of_each_kind_and_a_longer_one_the_whole_deck(seed: int) -> None:
    def roles(faults: int) -> list[tuple[str, str]]:
        return [
            (fault.kind, fault.target if fault.target == PATH else fault.target.partition("-")[0])
            for struck in schedule(seed, faults, **STACK)
            for fault in struck
        ]

    assert len(schedule(seed, SHORT, **STACK)) <= 5
    assert sorted(roles(SHORT)) == sorted(DECK[:SHORT])
    assert sorted(roles(2 * len(DECK))) == sorted(DECK * 2)


@given(st.integers())
def test_a_frozen_worker_outlasts_its_session_and_a_kill_is_an_instant(seed: int) -> None:
    for fault in (fault for struck in schedule(seed, 60, **STACK) for fault in struck):
        if fault.kind == "freeze" and fault.target.startswith("worker"):
            assert fault.seconds > STACK["session_timeout"]
        assert (fault.seconds == 0.0) == (fault.kind in ("kill", "restart", "hang"))


def test_seeds_differ() -> None:
    assert schedule(1, 40, **STACK) != schedule(2, 40, **STACK)
