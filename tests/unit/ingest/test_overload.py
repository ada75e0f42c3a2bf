"""Shedding: bursts are worked off, lasting overload is told at once to who asks most, and who asks little is served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ingest.overload import LONG_SECONDS, PATIENCE_SECONDS, Overload


class Loop:
    """Turns of a loop whose requests cost ``cost`` seconds each, and a refusal a tenth of it."""

    def __init__(self, cost: float) -> None:
        self.now = 100.0
        self._cost = cost
        self._next: list[Callable[[], None]] = []
        self.overload = Overload(self._next.append, lambda: self.now, lambda: self.now)

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

    def overloaded(self, **asked: int) -> None:
        end = self.now + 2 * PATIENCE_SECONDS
        while self.now < end:
            self.turn(**asked)


def test_a_burst_is_worked_off() -> None:
    loop = Loop(0.0005)
    assert loop.turn(noisy=900)["noisy"] == 900
    loop.now += 1
    assert loop.turn(noisy=900)["noisy"] == 900


def test_lasting_overload_is_refused_but_for_what_fits_a_turn_and_a_quiet_tenant_is_served() -> None:
    loop = Loop(0.0005)
    loop.overloaded(noisy=1200)
    began = loop.now
    served = loop.turn(noisy=1200, quiet=3)
    assert 20 <= served["noisy"] <= 200
    assert served["quiet"] == 3
    assert loop.now - began < 0.2


def test_tenants_that_ask_as_much_are_served_as_much() -> None:
    loop = Loop(0.0005)
    loop.overloaded(first=600, second=600)
    served = sum((loop.turn(first=600, second=600) for _ in range(10)), Counter())
    assert served["second"] * 1.5 > served["first"] / 2 > 0


def test_when_turns_are_short_again_all_are_served() -> None:
    loop = Loop(0.0005)
    loop.overloaded(noisy=1200)
    for _ in range(3):
        loop.turn(noisy=20)
        loop.now += LONG_SECONDS * 2
    assert loop.turn(noisy=300)["noisy"] == 300
