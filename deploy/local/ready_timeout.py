"""How long to wait until a process is ready: as long as it makes progress, and no longer than an outer limit.

A clock alone is no measure: on a machine under load the same start takes three seconds or three minutes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CPU_STEP_S = 0.5
"""Processor time that counts as progress. A process that only waits and looks again uses less of it in a minute."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What a process has done so far: bytes of its log, seconds of processor time, 0 where they cannot be read."""

    pid: int
    log_bytes: int
    cpu_s: float


class ReadyTimeout:
    """Expires when the process made no progress for ``idle_s`` seconds, or after ``limit_s`` in any case. Times are
    ``time.monotonic()``."""

    def __init__(self, idle_s: float, limit_s: float, now: float) -> None:
        self._idle_s, self._limit_s = idle_s, max(idle_s, limit_s)
        self._began = self._moved = now
        self._mark: Activity | None = None

    def expired(self, activity: Activity, now: float) -> str:
        """Why waiting is over, as the end of a sentence; empty while it is not."""
        mark = self._mark
        if (
            mark is None
            or activity.pid != mark.pid
            or activity.log_bytes != mark.log_bytes
            or activity.cpu_s >= mark.cpu_s + _CPU_STEP_S
        ):
            if mark is not None:
                self._moved = now
            self._mark = activity
        if now > self._began + self._limit_s:
            return f"is not ready after {now - self._began:.0f} s"
        if now > self._moved + self._idle_s:
            return f"is not ready after {now - self._began:.0f} s, and did nothing in the last {self._idle_s:.0f} s"
        return ""


def activity(pid: int, log: str) -> Activity:
    """What the process with this pid and log has done so far."""
    try:
        size = os.stat(log).st_size
    except OSError:
        size = 0
    return Activity(pid, size, _cpu_seconds(pid))


def _cpu_seconds(pid: int) -> float:
    # Linux alone tells it for nothing; elsewhere the log has to do.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
