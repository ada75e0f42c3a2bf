"""Whether a worker is ready, with reasons: its /readyz page, and what its /metrics page reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from schemas.catalog.follower import CatalogFollower
from schemas.health.readiness import Readiness, ReadinessCheck, UnreadyReason, to_json
from schemas.health.stages import Stage, stalled
from schemas.values.json_text import JsonObject
from stream_processors.metering.flush import UnitMeter
from stream_processors.upkeep.assignment import ConsumerApp, assigned
from stream_processors.upkeep.worker_metrics import WorkerMetrics

CATALOG_SECONDS = 10
"""A worker that has not read the catalog's end for this long is not ready."""


class Answering(Protocol):
    """Something that asks ClickHouse. ``trouble``: the error being retried, "" if none; ``answered_at``: the monotonic
    instant of the last answer."""

    @property
    def trouble(self) -> str:
        """See the class."""

    @property
    def answered_at(self) -> float:
        """See the class."""


class Working(Protocol):
    """Something that may stall. ``trouble``: the error being retried, "" if none; ``moved_at``: the monotonic instant
    of its last step."""

    @property
    def trouble(self) -> str:
        """See the class."""

    @property
    def busy(self) -> bool:
        """Whether work is in progress."""

    @property
    def moved_at(self) -> float:
        """See the class."""

    @property
    def position(self) -> str:
        """What it is working on, as text for people."""


def stage_of(name: str, work: Working, *, journals: Sequence[Answering] = ()) -> Stage:
    """A processing stage for /readyz. Its error is that of ``work``, or else of one of the ``journals`` that it asks.
    While there is none, an answer to a journal is a step: a piece of work may take many."""

    def trouble() -> str:
        return work.trouble or next((journal.trouble for journal in journals if journal.trouble), "")

    def moved_at() -> float:
        # What waits for a condition asks again and again, and stands still all the same.
        answers = [] if trouble() else [journal.answered_at for journal in journals]
        return max(work.moved_at, *answers, float("-inf"))

    return Stage(name, lambda: work.busy, moved_at, trouble, lambda: work.position)


class WorkerHealth:
    """Health of a worker, computed from memory without waiting. ``checks``: additional sources of readiness
    reasons."""

    def __init__(
        self, meter: UnitMeter, catalog: CatalogFollower, stages: Sequence[Stage], checks: Sequence[ReadinessCheck]
    ) -> None:
        self._meter = meter
        self._catalog = catalog
        self._stages = stages
        self._readiness = Readiness(self._of_catalog, self._of_stages, *checks)
        self.metrics = WorkerMetrics(self, self._readiness.reasons)

    def readiness(self, app: ConsumerApp) -> tuple[bool, JsonObject]:
        """Whether the worker is ready, and the body of /readyz. It is ready if it follows the catalog, its consumer
        has partitions assigned or is not rebalancing, and no check gives a reason."""
        try:
            partitions = sorted(f"{tp.topic}/{tp.partition}" for tp in assigned(app))
            joined = not app.rebalancing
        except Exception:
            partitions, joined = [], False
        reasons = self._readiness.reasons()
        if not joined:
            reasons += (UnreadyReason("balancing", "the consumer group is being balanced", "it goes on by itself"),)
        return not reasons, {
            "ready": not reasons,
            "assigned": partitions,
            "catalog_offset": self._catalog.catalog.next_offset,
            "events_counted": self.events_counted,
            "events_dropped": self.events_dropped,
            "clickhouse_failing_seconds": self.failing_seconds,
            "reasons": to_json(reasons),
        }

    @property
    def events_counted(self) -> int:
        """Events that count, since the worker's start."""
        return self._meter.events_counted

    @property
    def events_dropped(self) -> int:
        """Duplicates and conflicts, since the worker's start."""
        return self._meter.events_dropped

    @property
    def failing_seconds(self) -> int:
        """Whole seconds for which ClickHouse has refused; 0 while it answers."""
        since = self._meter.failing_since
        return 0 if since is None else int(time.monotonic() - since)

    def _of_catalog(self) -> Iterator[UnreadyReason]:
        if not self._catalog.fresh(CATALOG_SECONDS):
            yield UnreadyReason(
                "catalog_stale", "this worker has lost sight of the catalog", "look whether Kafka answers"
            )

    def _of_stages(self) -> Iterator[UnreadyReason]:
        return stalled(self._stages, time.monotonic(), time.time_ns() // 1000)
