"""What a process has used, from /proc, and how a table fills: the two things that every system is measured by; and
waiting for what has no end of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of the process so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now (``VmHWM``: its peak) in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


@dataclass(frozen=True, slots=True)
class Filled:
    """Rate between the first rows and the last, CPU an input event by process over that span, peak memory in MiB.

    ``warm_cpu_us``: CPU an event over the last two thirds, when a just-in-time compiler has done its work. ``keys``:
    identities that are held at the end; ``checkpoints``: those that a peer completed, where it says so.
    """

    events_per_second: float
    seconds: float
    cpu_us: dict[str, float]
    warm_cpu_us: dict[str, float]
    peak_mib: dict[str, float]
    keys: int = 0
    checkpoints: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows seen, the clock and the CPU of each process at one instant."""

    rows: int
    at: float
    cpu: Mapping[str, float]

    def cpu_us_until(self, later: Sample, events_per_row: float) -> dict[str, float]:
        """Microseconds of CPU an event of what came after this sample."""
        events = (later.rows - self.rows) * events_per_row
        return {name: (later.cpu[name] - used) / events * 1e6 for name, used in self.cpu.items()}


class TooSlow(Exception):
    """The table was not full within the time limit."""


class TooFew(Exception):
    """There is no span to measure."""


def fill(count: Callable[[], int], expected: int, inputs: int, pids: Mapping[str, int], limit_s: float) -> Filled:
    """Wait until ``count()`` says ``expected``; ``inputs``: events behind them, copies included.

    Start-up is left out: the clock starts at the first rows seen, and only what came after them is counted.
    """
    deadline = time.monotonic() + limit_s
    while (seen := count()) == 0:
        _pause(deadline, "no row came")

    def sample(rows: int) -> Sample:
        return Sample(rows, time.monotonic(), {name: cpu_seconds(pid) for name, pid in pids.items()})

    first = warm = sample(seen)
    while seen < expected:
        _pause(deadline, f"{seen} of {expected} rows")
        seen = count()
        if warm is first and expected / 3 <= seen < expected:
            warm = sample(seen)
    last = sample(seen)
    if seen > expected:
        raise AssertionError(f"{seen} rows where {expected} events count: something was counted twice")
    if first.rows == expected:
        raise TooFew(f"all {expected} rows came before the first look: measure more events")
    took, events_per_row = last.at - first.at, inputs / expected
    return Filled(
        (last.rows - first.rows) * events_per_row / took,
        took,
        first.cpu_us_until(last, events_per_row),
        warm.cpu_us_until(last, events_per_row),
        {name: memory_mib(pid, "VmHWM") for name, pid in pids.items()},
    )


def wait_until(done: Callable[[], object], limit_s: float, otherwise: str, every_s: float = 0.05) -> None:
    """Wait until ``done()`` says something. Raises TooSlow, which says ``otherwise``."""
    deadline = time.monotonic() + limit_s
    while not done():
        _pause(deadline, otherwise, every_s)


def _pause(deadline: float, what: str, seconds: float = 0.05) -> None:
    if time.monotonic() > deadline:
        raise TooSlow(what)
    time.sleep(seconds)
