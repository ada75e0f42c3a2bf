"""Long work in threads leaves the loop its half of the interpreter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from threading import Barrier

import pytest

from ingest.http.loop_throttle import LATELY_SECONDS, MOST_SECONDS, WORK_SECONDS, LoopThrottle


class Clocks:
    """Of one thread that works, and of a loop that serves now and then."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cpu = 0.0
        self.served = self.now
        self.slept: list[float] = []

    def throttle(self) -> LoopThrottle:
        return LoopThrottle(lambda: self.served, lambda: self.now, lambda: self.cpu, self.slept.append)

    def work(self, throttle: LoopThrottle, seconds: float) -> None:
        self.cpu += seconds
        self.now += seconds
        throttle.tick()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_thread_sleeps_twice_as_long_as_it_has_worked_while_others_are_served(clocks: Clocks) -> None:
    throttle = clocks.throttle()
    with throttle.working():
        clocks.work(throttle, WORK_SECONDS / 2)
        assert clocks.slept == []
        clocks.work(throttle, WORK_SECONDS)
        assert clocks.slept == [pytest.approx(3 * WORK_SECONDS)]
        clocks.work(throttle, WORK_SECONDS / 2)
        clocks.work(throttle, 100 * MOST_SECONDS)
        clocks.served = clocks.now
        assert len(clocks.slept) == 1, "nobody had been served while it worked so long"
        clocks.work(throttle, LATELY_SECONDS * 0.9)
    assert clocks.slept[1:] == [MOST_SECONDS]


def test_many_short_works_are_one_long_work(clocks: Clocks) -> None:
    throttle = clocks.throttle()
    for _ in range(8):
        with throttle.working():
            clocks.cpu += WORK_SECONDS * 0.6  # and no tick within
        clocks.cpu += 1.0  # of a thread that does something else
    assert clocks.slept == [pytest.approx(2.4 * WORK_SECONDS)] * 4


def test_nobody_served_and_work_of_others_cost_no_rest(clocks: Clocks) -> None:
    throttle = clocks.throttle()
    clocks.work(throttle, 1.0)
    clocks.served = clocks.now
    throttle.tick()
    clocks.served -= LATELY_SECONDS
    with throttle.working():
        clocks.work(throttle, 1.0)
    assert clocks.slept == []


def test_the_more_threads_work_the_longer_each_rests() -> None:
    slept: list[float] = []
    barrier = Barrier(3)
    cpu = chain((0.0, 0.0, 0.0), repeat(0.01))
    throttle = LoopThrottle(lambda: 0.0, lambda: 0.0, lambda: next(cpu), slept.append)

    def work(_: int) -> None:
        with throttle.working():
            barrier.wait(10)
            throttle.tick()
            barrier.wait(10)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert slept == [pytest.approx(0.06)] * 3


def test_what_ends_with_an_error_works_no_longer(clocks: Clocks) -> None:
    throttle = clocks.throttle()
    with pytest.raises(ValueError, match="broken"), throttle.working():
        raise ValueError("broken")
    with throttle.working():
        clocks.work(throttle, WORK_SECONDS)
    assert clocks.slept == [pytest.approx(2 * WORK_SECONDS)]
