"""What a process has used, from /proc, and how a table fills: the two things that every system is measured by."""

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
    """Rate between the first rows and the last, CPU an input event by process over that span, peak memory in MiB."""

    events_per_second: float
    seconds: float
    cpu_us: dict[str, float]
    peak_mib: dict[str, float]


class TooSlow(Exception):
    """The table was not full within the time limit."""


def fill(count: Callable[[], int], expected: int, inputs: int, pids: Mapping[str, int], limit_s: float) -> Filled:
    """Wait until ``count()`` says ``expected``; ``inputs``: events behind them, copies included.

    Start-up is left out: the clock starts at the first rows seen, and only what came after them is counted.
    """
    deadline = time.monotonic() + limit_s
    while (first := count()) == 0:
        _pause(deadline, "no row came")
    began, before = time.monotonic(), {name: cpu_seconds(pid) for name, pid in pids.items()}
    seen = first
    while seen < expected:
        _pause(deadline, f"{seen} of {expected} rows")
        seen = count()
    took = time.monotonic() - began
    if seen > expected:
        raise AssertionError(f"{seen} rows where {expected} events count: something was counted twice")
    events = inputs * (expected - first) / expected
    return Filled(
        events / took,
        took,
        {name: (cpu_seconds(pid) - before[name]) / events * 1e6 for name, pid in pids.items()},
        {name: memory_mib(pid, "VmHWM") for name, pid in pids.items()},
    )


def _pause(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise TooSlow(what)
    time.sleep(0.05)
