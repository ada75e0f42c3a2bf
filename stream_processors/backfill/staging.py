"""Step 2 of a backfill: counted events between two checkpoints, page by page, become rows of backfill_records.

What is staged is a function of the journal's events and of the version, so staging it again writes the same rows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.catalog.backfill_jobs import Job, staged_name
from schemas.catalog.follower import CatalogFollower, catalog_end
from schemas.events.event_types import DefaultsByOffset
from schemas.ledgers.checkpoints import Checkpoints, Cut
from schemas.settings import Settings
from schemas.values.record_copy import replace
from stream_processors.backfill.backfill_matcher import BackfillMatcher
from stream_processors.backfill.journal_pages import DONE, NOWHERE, Pages, PassProgress, key_of
from stream_processors.metering.journal import Journal
from stream_processors.rollup.slices import between
from stream_processors.threads import Stopping

log = logging.getLogger(__name__)

Report = Callable[[PassProgress], None]


@dataclass(slots=True)
class Stages:
    """Test hook: ``after`` is called with the name of each completed step, so that a test can kill the process
    there."""

    after: Callable[[str], None] = field(default=lambda _: None)


class Staging:
    """Stages the records of backfills. One thread at a time."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogFollower,
        stop: threading.Event,
        *,
        report: Report = lambda _: None,
        stages: Stages | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._stop = stop
        self._report = report
        self._stages = stages or Stages()
        self._journal = Journal(settings, stop)
        self.pages = Pages(self._journal, settings.backfill_page_events)

    @property
    def trouble(self) -> str:
        """What is being tried again; "" for nothing."""
        return self._journal.trouble

    @property
    def answered_at(self) -> float:
        """Monotonic instant of ClickHouse's last answer."""
        return self._journal.answered_at

    def complete(self, job: Job, cut: Cut, checkpoints: Checkpoints) -> None:
        """Have everything staged that the backfill's checkpoint ``cut`` takes in. It is staged already, unless
        ClickHouse has less than it had: restored from a copy that is older than the backfill. Raises Stopping."""
        part = len(checkpoints.backfilled(job.name, cut.number))
        if not self.pages.whole(staged_name(job.name, part), cut.number - 1):
            log.warning(
                "backfill %s: what checkpoint %d takes in is not staged; staging it again", job.name, cut.number
            )
            self.again(job, cut, checkpoints)

    def again(self, job: Job, cut: Cut, checkpoints: Checkpoints) -> None:
        """Stage everything that the backfill's checkpoint ``cut`` takes in, from its first event. Raises Stopping."""
        cuts = checkpoints.backfilled(job.name, cut.number)
        begin = cuts[-2].number if len(cuts) > 1 else 0
        # The checkpoint before the backfill's own has the same offsets.
        self.stage(job, len(cuts), checkpoints, PassProgress(staged_name(job.name, len(cuts)), begin, cut.number - 1))

    def stage(self, job: Job, part: int, checkpoints: Checkpoints, progress: PassProgress) -> None:
        """Stage the events between two checkpoints that ``progress`` has not passed. Raises Stopping."""
        # Events carry the catalog offset under which they were accepted. Reading the catalog to its end first ensures
        # that the event types of all events below the target are known.
        self.await_catalog(catalog_end(self._settings))
        defaults = DefaultsByOffset(self._catalog.catalog.view(job.namespace), job.event_name)
        matcher = BackfillMatcher(job, part, defaults)
        offsets_before = checkpoints.cut(progress.from_checkpoint).offsets if progress.from_checkpoint else {}
        ranges = between(offsets_before, checkpoints.cut(progress.to_checkpoint).offsets)
        days = self.pages.days(job, ranges) if ranges else []
        progress = replace(progress, events_total=max(progress.events_total, sum(count for _, count, _ in days)))
        self._report(progress)
        for day, _, mixed in days:
            if day < progress.day:
                continue
            if day > progress.day:
                progress = replace(progress, day=day, key=NOWHERE)
            while True:
                events, ends = self.pages.page(job, ranges, day, mixed, progress.key, offsets=defaults.any)
                if events.num_rows:
                    records = matcher.records(events)
                    self._journal.insert("backfill_records", records)
                    progress = replace(
                        progress,
                        key=key_of(events),
                        events_read=progress.events_read + events.num_rows,
                        records=progress.records + records.num_rows,
                    )
                    self.pages.keep(progress, now_us())
                    self._report(progress)
                    self._stages.after("page")
                if self._stop.is_set():
                    raise Stopping("backfill")
                if ends:
                    break
        progress = replace(progress, day=DONE, events_total=progress.events_read)
        self.pages.keep(progress, now_us())
        self._report(progress)

    def await_catalog(self, offset: int) -> None:
        """Wait until the catalog is read up to ``offset``. Raises Stopping."""
        while not self._catalog.wait_for(offset, 1.0):
            if self._stop.is_set():
                raise Stopping("catalog")


def now_us() -> int:
    """Microseconds UTC."""
    return time.time_ns() // 1000
