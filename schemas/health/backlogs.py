"""Detects from outside that a stage of the pipeline stands still: what is done of it does not move although there is
more to do, whichever process should do it, and whether or not any does. Pure.

A process knows of its own stages what it waits for (``schemas.health.stages``), and nothing where it is not running,
is started again and again, or is given nothing. What is done durably tells all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from schemas.health.readiness import UnreadyReason
from schemas.health.stages import STANDING_SECONDS
from schemas.values.instants import rfc3339

PIPELINE_STANDS: Final = "pipeline_stands"
_WORKER: Final = "the workers' /readyz and logs name what stands in the way, `weir status` whether any runs"
_WEBHOOKS: Final = "the /readyz and log of `python -m rating.webhooks` name what stands in the way"


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """``name``: as metrics have it; ``title``: for people; ``of``: what it reads and writes; ``remedy``: where to
    look."""

    name: str
    title: str
    of: str
    remedy: str = _WORKER


ADMISSION: Final = PipelineStage("admission", "admission", "usage.inbox.* to usage.events")
METERING: Final = PipelineStage("metering", "metering", "usage.events to usage_events")
CUTTING: Final = PipelineStage("checkpoints", "the cutting of checkpoints", "metered events to usage.checkpoints")
ROLL_UP: Final = PipelineStage("roll_up", "roll-up", "usage.checkpoints to usage_windows")
REJECTION_COPY: Final = PipelineStage("rejection_copy", "the copy of rejections", "usage.rejected to rejected_events")
INVOICE_COPY: Final = PipelineStage("invoice_copy", "the copy of invoices", "usage.invoices to invoices")
CATALOG_COPY: Final = PipelineStage("catalog_copy", "the copy of the catalog", "usage.catalog to catalog_entries")
ALERT_COPY: Final = PipelineStage("alert_copy", "the copy of alerts", "usage.alerts to usage_alerts", _WEBHOOKS)
TOPUP_COPY: Final = PipelineStage("topup_copy", "the copy of top-ups", "usage.topups to usage_topups", _WEBHOOKS)
STAGES: Final = (
    ADMISSION, METERING, CUTTING, ROLL_UP, REJECTION_COPY, INVOICE_COPY, CATALOG_COPY, ALERT_COPY, TOPUP_COPY,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far a stage is in one place: a partition, or a ledger as a whole. All below ``done`` is done, and there is
    more below ``end`` where that is greater. ``namespace``: whose place it is, "" where it is everybody's."""

    stage: PipelineStage
    place: tuple[str, int]
    done: int
    end: int
    namespace: str = ""

    @property
    def records(self) -> int:
        """How much is not done."""
        return max(0, self.end - self.done)


@dataclass(frozen=True, slots=True)
class StandingStage:
    """A stage that stands still in some places. ``since_us`` (microseconds UTC) and ``seconds``: of the place that
    stands longest."""

    stage: PipelineStage
    since_us: int
    seconds: float
    backlogs: tuple[Backlog, ...]

    @property
    def records(self) -> int:
        """How much is not done where it stands."""
        return sum(backlog.records for backlog in self.backlogs)

    def concerns(self, namespace: str) -> bool:
        """Whether any of the places is the namespace's, or everybody's."""
        return any(backlog.namespace in ("", namespace) for backlog in self.backlogs)

    def reason(self) -> UnreadyReason:
        """As /readyz has it. Inboxes are counted, not named: their names are those of tenants."""
        places = f"{len(self.backlogs)} place{'s' if len(self.backlogs) > 1 else ''}"
        [first, *_] = self.backlogs
        where = "" if first.namespace else f", first in {first.place[0]} partition {first.place[1]} at {first.done}"
        return UnreadyReason(
            PIPELINE_STANDS,
            f"{self.stage.title} ({self.stage.of}) has stood still for {self.seconds:.0f} s, since "
            f"{rfc3339(self.since_us)}, with {self.records} waiting in {places}{where}",
            self.stage.remedy,
            lasting=True,
        )


@dataclass(slots=True)
class _Seen:
    """``waits``: work is known to wait there, which stays so until some of it is done."""

    backlog: Backlog
    since: float
    waits: bool = False


class Backlogs:
    """What was seen of every place, and since when none of its work was done. Instants are monotonic seconds.

    ``waits``: whether work waits in a place that seems to stand; it may ask, and is called once for each state. None:
    that cannot be told, so it may; others are not asked about then, and all of them again at the next observation.
    """

    def __init__(self, waits: Callable[[Backlog], bool | None] = lambda backlog: True) -> None:
        self._waits = waits
        self._places: dict[tuple[PipelineStage, tuple[str, int]], _Seen] = {}
        self._empty: set[Backlog] = set()

    def seen(self, stages: Iterable[PipelineStage], backlogs: Iterable[Backlog], now: float) -> None:
        """Take an observation of all places of these stages; places that are no more are forgotten. Raises what
        ``waits`` raises."""
        observed = set(stages)
        before = self._places
        self._places = {key: seen for key, seen in before.items() if key[0] not in observed}
        for backlog in backlogs:
            key = (backlog.stage, backlog.place)
            known = before.get(key)
            stood = (
                known is not None
                and known.backlog.done == backlog.done
                and known.backlog.records > 0
                and known.backlog not in self._empty
            )
            self._places[key] = _Seen(backlog, known.since, known.waits) if known and stood else _Seen(backlog, now)
        self._empty &= {seen.backlog for seen in self._places.values()}
        for seen in self._places.values():
            if seen.waits or not self._stands(seen, now):
                continue
            waits = self._waits(seen.backlog)
            if waits is None:
                break
            seen.waits = waits
            if not waits:
                self._empty.add(seen.backlog)

    def _stands(self, seen: _Seen, now: float) -> bool:
        waiting = seen.backlog.records and seen.backlog not in self._empty
        return bool(waiting) and now - seen.since >= STANDING_SECONDS

    def standing(self, now: float, now_us: int) -> Iterator[StandingStage]:
        """The stages that have stood still for STANDING_SECONDS somewhere, in the order of STAGES."""
        for stage in STAGES:
            places = [
                seen
                for (of, _), seen in sorted(self._places.items(), key=lambda item: item[0][1])
                if of == stage and self._stands(seen, now)
            ]
            if places:
                still = max(now - seen.since for seen in places)
                since_us = now_us - int(still * 1_000_000)
                yield StandingStage(stage, since_us, still, tuple(seen.backlog for seen in places))

    def waiting(self) -> dict[PipelineStage, int]:
        """How much is not done, of each stage that was ever seen."""
        counts: dict[PipelineStage, int] = {}
        for (stage, _), seen in self._places.items():
            records = 0 if seen.backlog in self._empty else seen.backlog.records
            counts[stage] = counts.get(stage, 0) + records
        return counts
