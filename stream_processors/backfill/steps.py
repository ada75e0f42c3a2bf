"""The steps of a backfill. It can be killed at any point and may run in two processes at once
(``schemas/catalog/backfill_jobs.py`` states what holds between the steps).

1. Cut a checkpoint, the *target*, that covers everything metered so far: the backfill applies to the events below it.
2. Read counted events page by page in key order, match them, and insert the records into backfill_records. After each
  page its last key is stored in backfill_progress; a page that is read again writes the same rows.
3. Record a checkpoint that belongs to the backfill, over the target's offsets. If another cut was made in between, that
  cut becomes the new target, and the events between the two are processed first.
4. The worker rolls this checkpoint up like any other (``rollup/roll_up.py``).
5. Publish the backfill to the catalog. From then on the version counts.
6. Drop the staged rows.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Final

from schemas.catalog.backfill_jobs import Job, job_of, staged_name, waiting, watched
from schemas.catalog.follower import CatalogFollower, catalog_end
from schemas.catalog.state import record_of
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import position_below
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG
from schemas.ledgers.checkpoints import CheckpointLedger, Checkpoints, Cut, next_cut, read_progress, rolled_up
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.usage_log.generation_change import end_offsets
from stream_processors.backfill.journal_pages import DONE, PassProgress
from stream_processors.backfill.staging import Report, Stages, Staging, now_us
from stream_processors.metering.journal import Journal
from stream_processors.rollup.backfilled import roll_up_backfill, taken_in
from stream_processors.threads import Stopping

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 2.0
"""Minimum age of a version before its backfill begins. By then all gateways have read it, which avoids a second pass
over events accepted by gateways that had not."""
_WARN_SECONDS: Final = 30.0
_AUTHOR: Final = "weir backfill"


class Backfiller:
    """Runs pending backfills. Use each instance from one thread; any number of processes may run at once."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogFollower,
        stop: threading.Event,
        *,
        report: Report = lambda _: None,
        settle_seconds: float = SETTLE_SECONDS,
        stages: Stages | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._journal = Journal(settings, stop)
        self._stop = stop
        self._settle_seconds = settle_seconds
        self._stages = stages or Stages()
        self._staging = Staging(settings, catalog, stop, report=report, stages=self._stages)
        self._ledger: CheckpointLedger | None = None

    @property
    def trouble(self) -> str:
        """The error being retried; "" if none."""
        return self._journal.trouble or self._staging.trouble

    @property
    def answered_at(self) -> float:
        """Monotonic instant of ClickHouse's last answer."""
        return max(self._journal.answered_at, self._staging.answered_at)

    def run(self, only: str | None = None) -> int:
        """Run the pending backfills (``only``: just the one of that name), process stragglers of finished ones and
        drop staged rows.

        Returns how many pending backfills were run. Raises Stopping, LedgerUnavailable, CannotGoOn.
        """
        done = 0
        while job := next(
            (candidate for candidate in waiting(self._catalog.catalog) if only in (None, candidate.name)), None
        ):
            self.backfill(job)
            done += 1
        for job in self.with_stragglers():
            if only in (None, job.name):
                self.backfill(job)
        self.tidy()
        return done

    def with_stragglers(self) -> list[Job]:
        """Finished backfills for which events have arrived since in batches that did not yet know the version."""
        stragglers = []
        for job in watched(self._catalog.catalog, time.time_ns() // 1000):
            bind = Binder()
            below = position_below(job.reaches[-1].offsets, bind, "reach")
            rows = self._journal.query(
                f"look for stragglers of {job.name}",
                "SELECT count() FROM usage_batches WHERE namespace = {ns:String} AND catalog_offset < {known:UInt64} "
                "AND events > 0"
                f" AND append_time >= fromUnixTimestamp64Micro({{published:Int64}}, 'UTC') - toIntervalHour(1)"
                f" AND NOT {below}",
                bind.parameters | {"ns": job.namespace, "known": job.known_from, "published": job.published_us},
            )
            if rows[0][0]:
                stragglers.append(job)
        return stragglers

    def backfill(self, job: Job) -> None:
        """Run all steps of one backfill, continuing from its stored progress. Raises Stopping, LedgerUnavailable."""
        ledger = self._open()
        part = len(job.reaches) + 1
        cut = _own(ledger.refresh(), job, part)  # a process may have died between recording and publishing it
        if cut is None:
            self._settle(job)
            cut = self._staged(job, part, ledger)
        self._await_roll_up(cut)
        if not taken_in(self._journal, job, cut):
            roll_up_backfill(self._journal, self._catalog.catalog, ledger.checkpoints, cut, self._staging.complete)
        self._stages.after("rolled up")
        self._tell(job, cut, part)
        self._stages.after("told")
        log.info("backfill %s is done as of checkpoint %d", job.name, cut.number)

    def tidy(self) -> None:
        """Drop the staged rows of backfills that are finished."""
        rows = self._journal.query(
            "list staged backfills", "SELECT DISTINCT toString(backfill), _partition_id FROM backfill_records"
        )
        for label, partition in rows:
            name, _, part = str(label).rpartition("#")
            job = job_of(self._catalog.catalog, name)
            # The catalog is ahead of a ClickHouse that was restored: then the roll-up still needs what is staged.
            cut = None if job is None or len(job.reaches) < int(part) else _own(self._open().refresh(), job, int(part))
            if job is not None and cut is not None and taken_in(self._journal, job, cut):
                self._journal.command(
                    f"drop what was staged of {label}",
                    f"ALTER TABLE backfill_records DROP PARTITION ID '{partition}'",
                    {},
                )

    def _open(self) -> CheckpointLedger:
        if self._ledger is None:
            self._ledger = CheckpointLedger(self._settings)
        return self._ledger

    def _settle(self, job: Job) -> None:
        seconds = self._settle_seconds - (time.time_ns() // 1000 - job.published_us) / 1_000_000
        if seconds > 0 and self._stop.wait(min(seconds, self._settle_seconds)):
            raise Stopping("backfill")

    # --- staging ----------------------------------------------------------------------------------------------------

    def _staged(self, job: Job, part: int, ledger: CheckpointLedger) -> Cut:
        """Steps 1 to 3; returns the backfill's own checkpoint, below which every event is staged."""
        target = self._target(ledger)
        previous = _own(ledger.checkpoints, job, part - 1)
        while True:
            progress = self._staging.pages.stand(staged_name(job.name, part), previous.number if previous else 0)
            if progress.day == DONE and progress.to_checkpoint >= target.number:
                cut = self._record(job, part, ledger, ledger.refresh().cut(progress.to_checkpoint))
                if cut is not None:
                    self._stages.after("recorded")
                    return cut
                target = ledger.checkpoints.cuts[-1]
                continue
            if progress.day == DONE:
                progress = PassProgress(progress.name, progress.to_checkpoint, target.number)
            self._staging.stage(job, part, ledger.refresh(), progress)
            self._stages.after("staged")

    def _target(self, ledger: CheckpointLedger) -> Cut:
        """A checkpoint that covers everything now in the log; waits until all of that is metered."""
        ends = end_offsets(self._settings)
        while True:
            progress = self._journal.run("read progress", read_progress)
            if all(progress.get(key, 0) >= end for key, end in ends.items()):
                break
            if self._stop.wait(0.2):
                raise Stopping("metering")
        catalog_offset = catalog_end(self._settings)

        def propose(previous: Cut | None) -> Cut | None:
            if previous is not None and all(previous.offsets.get(key, 0) >= end for key, end in ends.items()):
                return None
            return next_cut(previous, dict.fromkeys(ends, 0) | progress, catalog_offset, now_us())

        cut = ledger.cut(propose) or ledger.checkpoints.last
        assert cut is not None, "the log has partitions, so there is a cut"
        return cut

    def _record(self, job: Job, part: int, ledger: CheckpointLedger, target: Cut) -> Cut | None:
        """Step 3; None if another cut was made after the target. A checkpoint that another process recorded for
        this backfill is used as it is."""
        catalog_offset = catalog_end(self._settings)

        def propose(previous: Cut | None) -> Cut | None:
            if previous is None or previous.number != target.number or _own(ledger.checkpoints, job, part) is not None:
                return None
            as_of = max(now_us(), previous.as_of_us)
            return Cut(previous.number + 1, previous.offsets, catalog_offset, as_of, job.name)

        return ledger.cut(propose) or _own(ledger.checkpoints, job, part)

    # --- publishing -------------------------------------------------------------------------------------------------

    def _await_roll_up(self, cut: Cut) -> None:
        warned_at = time.monotonic()
        while int(self._journal.run("read roll-ups", rolled_up)) < cut.number:
            if time.monotonic() - warned_at > _WARN_SECONDS:
                warned_at = time.monotonic()
                log.warning("checkpoint %d is not rolled up yet; is a worker running? `weir status` tells", cut.number)
            if self._stop.wait(0.1):
                raise Stopping("roll-up")

    def _tell(self, job: Job, cut: Cut, version: int) -> None:
        """Step 5. The first catalog entry of a version wins; entries written by other processes have the same
        content."""
        model = job.entry(cut)
        record = record_of(
            job.namespace, model, kind="backfill", version=version, author=_AUTHOR, claim_id=uuid.uuid4().hex
        )
        key = f"{job.namespace}/backfill/{model.code}".encode()
        ((_, offset),) = LedgerWriter(self._settings, CATALOG).append_all(
            [(key, codec("catalog_entry").encode(record))], 0
        )
        self._staging.await_catalog(offset + 1)


def _own(checkpoints: Checkpoints, job: Job, part: int) -> Cut | None:
    """The checkpoint of one part (from 1) of the backfill, None if it has none yet."""
    cuts = checkpoints.backfilled(job.name)
    return cuts[part - 1] if 0 < part <= len(cuts) else None
