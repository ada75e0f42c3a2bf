"""Detects processing stages that have stalled with work to do, for /readyz and `weir status`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from schemas.health.readiness import UnreadyReason
from schemas.values.instants import rfc3339

STANDS: Final = "stage_stands"
STANDING_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A processing stage. ``busy``: whether work is in progress; ``moved_at``: monotonic seconds of the last step;
    ``trouble``: the error being retried, "" if none; ``position``: what is being worked on."""

    name: str
    busy: Callable[[], bool]
    moved_at: Callable[[], float]
    trouble: Callable[[], str]
    position: Callable[[], str]


def stalled(stages: Iterable[Stage], now: float, now_us: int) -> Iterator[UnreadyReason]:
    """A reason for each stage that has stood still for STANDING_SECONDS with work before it. ``now``: monotonic
    seconds; ``now_us``: the same instant in microseconds UTC."""
    for stage in stages:
        if not stage.busy():
            continue
        trouble = stage.trouble()
        still = now - stage.moved_at()
        if still < STANDING_SECONDS:
            continue
        since = rfc3339(now_us - int(still * 1_000_000))
        where = stage.position() or "a position that is not known"
        yield UnreadyReason(
            STANDS,
            f"{stage.name} has stood still for {still:.0f} s, since {since}, at {where}: "
            f"{trouble or 'one step of its work takes so long'}",
            "it goes on by itself once that is mended; the process's log has more"
            if trouble
            else "look at the process's log and at ClickHouse's load",
            lasting=True,
        )


class Attempts:
    """Failing operations that are being retried, by name. For one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failing: dict[str, tuple[float, str]] = {}

    def failed(self, name: str, error: str) -> float:
        """Note a failure; returns the seconds since the operation first failed."""
        now = self._clock()
        since, _ = self._failing.get(name, (now, ""))
        self._failing[name] = since, error
        return now - since

    def done(self, name: str) -> None:
        """Note a success."""
        self._failing.pop(name, None)

    def stages(self, of: str, position: Callable[[], str]) -> Iterator[Stage]:
        """Each failing operation as a Stage named after ``of``."""
        for name, (since, error) in list(self._failing.items()):
            yield _failing(f"{of}: {name}", since, error, position)


def _failing(name: str, since: float, error: str, position: Callable[[], str]) -> Stage:
    return Stage(name, lambda: True, lambda: since, lambda: error, position)
