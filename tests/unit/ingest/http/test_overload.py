"""Shedding: bursts are worked off, lasting overload is told at once to who asks most, and who asks little is served."""

from __future__ import annotations

from collections import Counter

import pytest

from ingest.http.overload import LEAST_IN_HAND, PATIENCE_SECONDS, STEP_SECONDS, TURN_SECONDS, WINDOW_SECONDS, Overload

COST = 0.0005  # seconds for a request; its refusal costs a tenth


class Loop:
    """Turns of a loop: all requests of a turn are read first, and then worked at in the next."""

    def __init__(self) -> None:
        self.now = 100.0
        self.overload = Overload(lambda: self.now)

    def turn(self, **asked: int) -> Counter[str]:
        """So many requests of each tenant come at once; those that were served."""
        admitted: list[tuple[str, float]] = []
        for tenant, count in asked.items():
            for _ in range(count):
                if self.overload.refuses(tenant):
                    self.now += COST / 10
                else:
                    self.overload.take(tenant)
                    admitted.append((tenant, self.now))
        for tenant, since in admitted:
            self.overload.begun(self.now - since)
            self.now += COST
            self.overload.let_go(tenant)
            self.overload.finished()
        return Counter(tenant for tenant, _ in admitted)

    def overloaded(self, **asked: int) -> None:
        end = self.now + 1.5
        while self.now < end:
            self.turn(**asked)


def test_a_burst_is_worked_off() -> None:
    loop = Loop()
    for _ in range(3):
        assert loop.turn(noisy=900)["noisy"] == 900
        loop.now += 2 * WINDOW_SECONDS
        assert loop.turn(noisy=1) == {"noisy": 1}


def test_lasting_overload_is_refused_but_for_what_fits_a_turn_and_a_quiet_tenant_is_served() -> None:
    loop = Loop()
    loop.overloaded(noisy=1200)
    for _ in range(200):  # it stays so: short turns, since most is refused, are no sign that less is asked for
        began = loop.now
        served = loop.turn(noisy=600, quiet=3)
        assert LEAST_IN_HAND / 2 <= served["noisy"] <= 2 * TURN_SECONDS / COST
        assert served["quiet"] == 3
        assert loop.now - began < 600 * COST / 10 + 2 * TURN_SECONDS


def test_a_flood_of_refusals_does_not_pass_for_a_slow_machine() -> None:
    loop = Loop()
    for _ in range(4):
        loop.overloaded(noisy=1200)
    # Refusals take most of the loop's time; what it could begin in a turn without them is what it may begin with them.
    assert STEP_SECONDS / COST / 2 <= loop.overload.begun_in_a_turn() <= 2 * STEP_SECONDS / COST


def test_a_loop_that_is_busy_with_what_fits_its_turns_sheds_nothing() -> None:
    loop = Loop()
    for _ in range(1000):
        assert loop.turn(noisy=40) == {"noisy": 40}


def test_requests_that_wait_for_kafka_are_not_in_hand() -> None:
    loop = Loop()
    for _ in range(int(5 * PATIENCE_SECONDS / WINDOW_SECONDS)):  # none is answered
        for _ in range(100):
            assert not loop.overload.refuses("noisy")
            loop.overload.take("noisy")
            loop.overload.begun(0.0)
            loop.overload.let_go("noisy")
        loop.now += WINDOW_SECONDS


@pytest.mark.parametrize("first_value", [300, 600])
def test_tenants_share_what_fits_whoever_asks_for_more(first_value: int) -> None:
    loop = Loop()
    loop.overloaded(first=first_value, second=600)
    served = sum((loop.turn(first=first_value, second=600) for _ in range(10)), Counter[str]())
    assert served["second"] * 3 > served["first"] > 0 < served["second"] < 3 * served["first"]


def test_when_less_is_asked_for_again_all_are_served() -> None:
    loop = Loop()
    loop.overloaded(noisy=1200)
    for _ in range(100):
        loop.turn(noisy=5)
    assert loop.turn(noisy=300)["noisy"] == 300
    loop.overloaded(noisy=1200)
    loop.now += 10 * WINDOW_SECONDS
    loop.turn(noisy=1)
    loop.now += 2 * WINDOW_SECONDS
    assert loop.turn(noisy=300)["noisy"] == 300
