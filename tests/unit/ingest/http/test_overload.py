"""Shedding: bursts are worked off, lasting overload is told at once to who asks most, and who asks little is served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ingest.http.overload import PATIENCE_SECONDS, TURN_SECONDS, Overload


class Loop:
    """Turns of a loop whose requests cost ``cost`` seconds each, and a refusal a tenth of it."""

    def __init__(self, cost: float) -> None:
        self.now = 100.0
        self._cost = cost
        self._next: list[Callable[[], None]] = []
        self.overload = Overload(self._next.append, lambda: self.now)

    def turn(self, **asked: int) -> Counter[str]:
        """So many requests of each tenant come at once; those that were served."""
        served: Counter[str] = Counter()
        for tenant, count in asked.items():
            for _ in range(count):
                admitted = self.overload.admit(tenant)
                served[tenant] += admitted
                self.now += self._cost if admitted else self._cost / 10
        ended, self._next[:] = list(self._next), []
        for end in ended:
            end()
        return served

    def rest(self, seconds: float = 1.0) -> None:
        """Nothing comes."""
        self.turn()
        self.now += seconds

    def overloaded(self, **asked: int) -> None:
        end = self.now + 2 * PATIENCE_SECONDS
        while self.now < end:
            self.turn(**asked)


def test_a_burst_is_worked_off() -> None:
    loop = Loop(0.0002)
    for _ in range(3):
        assert loop.turn(noisy=900)["noisy"] == 900
        loop.rest()


def test_lasting_overload_is_refused_but_for_what_fits_a_turn_and_a_quiet_tenant_is_served() -> None:
    loop = Loop(0.0005)
    loop.overloaded(noisy=1200)
    for _ in range(
        200
    ):  # it stays so: that turns are short again, since most is refused, is no sign that less is asked for
        began = loop.now
        served = loop.turn(noisy=600, quiet=3)
        assert 10 <= served["noisy"] <= 2 * TURN_SECONDS / 0.0005
        assert served["quiet"] == 3
        assert loop.now - began < 4 * TURN_SECONDS


def test_a_loop_that_is_busy_with_what_fits_its_turns_sheds_nothing() -> None:
    loop = Loop(0.0005)
    for _ in range(1000):
        assert loop.turn(noisy=20) == {"noisy": 20}


def test_tenants_that_ask_as_much_are_served_as_much() -> None:
    loop = Loop(0.0005)
    loop.overloaded(first=600, second=600)
    served = sum((loop.turn(first=600, second=600) for _ in range(10)), Counter())
    assert served["second"] * 1.5 > served["first"] / 2 > 0


def test_when_less_is_asked_for_again_all_are_served() -> None:
    loop = Loop(0.0005)
    loop.overloaded(noisy=1200)
    loop.turn(noisy=5)
    assert loop.turn(noisy=300)["noisy"] == 300
    loop.overloaded(noisy=1200)
    loop.rest()
    assert loop.turn(noisy=300)["noisy"] == 300
