"""Which stage of the road stands still with work before it: for /readyz and `weir status`. Pure but for what it is
given to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from schemas.health.readiness import Reason
from schemas.values.instants import rfc3339

STANDS: Final = "stage_stands"
STANDING_SECONDS: Final = 60.0
SILENT_SECONDS: Final = 180.0
"""A piece of work without an error may take that long: one request to ClickHouse has 120 s."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. ``busy``: whether it has begun something and not ended it; ``moved_at``: monotonic seconds of its last
    step; ``trouble``: the last error while it tries again, "" for none; ``position``: where it is at work."""

    name: str
    busy: Callable[[], bool]
    moved_at: Callable[[], float]
    trouble: Callable[[], str]
    position: Callable[[], str]


def standing(stages: Iterable[Stage], now: float, now_us: int) -> Iterator[Reason]:
    """A reason for each stage that has stood still for a minute. ``now``: monotonic seconds, ``now_us`` the same moment
    in UTC."""
    for stage in stages:
        if not stage.busy():
            continue
        trouble = stage.trouble()
        still = now - stage.moved_at()
        if still < (STANDING_SECONDS if trouble else SILENT_SECONDS):
            continue
        since = rfc3339(now_us - int(still * 1_000_000))
        where = stage.position() or "a position that is not known"
        yield Reason(
            STANDS, f"{stage.name} has stood still for {still:.0f} s, since {since}, at {where}: "
                f"{trouble or 'one piece of work takes so long'}",
            "it goes on by itself once that is mended; the worker's log "
            "has more" if trouble else "look at the worker's log and at ClickHouse's load",
            lasting=True,
        )  # fmt: skip


class Attempts:
    """What is tried again until it succeeds, each under a name; one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failing: dict[str, tuple[float, str]] = {}

    def failed(self, name: str, error: str) -> float:
        """Seconds for which ``name`` has failed by now."""
        now = self._clock()
        since, _ = self._failing.get(name, (now, ""))
        self._failing[name] = since, error
        return now - since

    def done(self, name: str) -> None:
        """It has succeeded."""
        self._failing.pop(name, None)

    def stages(self, of: str, position: Callable[[], str]) -> Iterator[Stage]:
        """Each as a stage of ``of``."""
        for name, (since, error) in list(self._failing.items()):
            yield _failing(f"{of}: {name}", since, error, position)


def _failing(name: str, since: float, error: str, position: Callable[[], str]) -> Stage:
    return Stage(name, lambda: True, lambda: since, lambda: error, position)
