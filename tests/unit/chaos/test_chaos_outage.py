"""What the outage scenario calls wrong, on samples made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.outage import GROWTH_MIB, WATCHED, Sample, judge, memory_of


def samples(phase: str, *, metered: int, acknowledged: int, lag: int, mib: int) -> list[Sample]:
    memory = dict.fromkeys(WATCHED, mib)
    return [Sample(second, phase, acknowledged + second, metered, lag, memory) for second in range(6)]


GOOD = {
    "before": samples("before", metered=100, acknowledged=0, lag=3, mib=200),
    "away": samples("refuses", metered=103, acknowledged=1000, lag=900, mib=210),
    "drains": samples("drains", metered=2000, acknowledged=2000, lag=2, mib=220),
    "after": samples("after", metered=2010, acknowledged=2010, lag=0, mib=215),
}


def test_a_pause_that_drains_with_steady_memory_is_well() -> None:
    assert judge(**GOOD) == []
    assert memory_of(*GOOD.values()) == {name: [200, 210, 220, 215] for name in WATCHED}


@pytest.mark.parametrize(
    ("phase", "change", "said"),
    [
        ("away", {"metered": 104}, "progress moved"),
        ("away", {"acknowledged": 1000}, "producers could not go on"),
        ("drains", {"lag": 4}, "4 batches were not drained"),
        ("after", {"mib": dict.fromkeys(WATCHED, 201 + GROWTH_MIB)}, "gateway grew from 200 MiB to 329 MiB"),
    ],
)
def test_each_promise_that_is_broken_is_named(phase: str, change: dict[str, object], said: str) -> None:
    phases = dict(GOOD)
    phases[phase] = [*phases[phase][:-1], replace(phases[phase][-1], **change)]
    assert any(said in problem for problem in judge(**phases)), judge(**phases)
