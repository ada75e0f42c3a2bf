"""Rolls up a checkpoint's slice of usage_records into usage_windows (DESIGN invariants 7 and 8).

The rows carry the checkpoint's number, so repeating a roll-up writes the same rows. The row in usage_checkpoints
that marks the slice as rolled up is written last.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

import pyarrow as pa

from schemas.catalog.follower import CatalogFollower, catalog_end
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.clickhouse.client import Parameters
from schemas.ledgers.checkpoints import CheckpointLedger, Checkpoints, Cut, next_cut, read_progress, rolled_up
from schemas.settings import Settings
from stream_processors.metering.journal import Journal
from stream_processors.rollup.backfilled import BackfilledStage, roll_up_backfill
from stream_processors.rollup.folds import Folds, fold_ends
from stream_processors.rollup.slices import Slice, records_in
from stream_processors.rollup.windows import windows_sql
from stream_processors.threads import Stopping, executor

log = logging.getLogger(__name__)


def roll_up_sql(ranges: Slice) -> tuple[str, Parameters]:
    """The INSERT … SELECT of a slice and its parameters, except ``{k:UInt32}``, the checkpoint's number.

    Backfilled records are excluded: they belong to their backfill's checkpoint, whatever their positions. Window sizes
    and the need for unique values come from profile_versions; a record whose version is missing there makes the
    statement fail, since no window may be left out.
    """
    records, parameters = records_in(ranges)
    return windows_sql(records, backfilled=False), parameters


def versions_table(versions: Sequence[tuple[str, ProfileVersion]]) -> pa.Table:
    """The Arrow table of profile_versions, from (namespace, version) pairs."""
    profile_versions = [version for _, version in versions]
    return pa.table(
        {
            "namespace": pa.array([namespace for namespace, _ in versions], pa.string()),
            "profile_id": pa.array([profile_version.profile_id for profile_version in profile_versions], pa.string()),
            "profile_version": pa.array([profile_version.version for profile_version in profile_versions], pa.uint32()),
            "event_name": pa.array([profile_version.event_name for profile_version in profile_versions], pa.string()),
            "aggregation": pa.array([profile_version.aggregation for profile_version in profile_versions], pa.string()),
            "property": pa.array(
                [profile_version.property or () for profile_version in profile_versions], pa.list_(pa.string())
            ),
            "filters": pa.array(
                [
                    json.dumps([item.model_dump(mode="json") for item in profile_version.filters])
                    for profile_version in profile_versions
                ],
                pa.string(),
            ),
            "dimensions": pa.array(
                [profile_version.dimensions for profile_version in profile_versions], pa.list_(pa.list_(pa.string()))
            ),
            "window_seconds": pa.array(
                [profile_version.window_seconds for profile_version in profile_versions], pa.uint32()
            ),
        }
    )


class RollUp:
    """Rolls up all outstanding slices in order; ``stage`` stages the records of a backfill. Use it from one thread at a
    time."""

    def __init__(
        self, settings: Settings, catalog: CatalogFollower, stop: threading.Event, stage: BackfilledStage
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._journal = Journal(settings, stop)
        self._stop = stop
        self._stage = stage
        self._waiting = ""
        self._ledger: CheckpointLedger | None = None
        self._folds = Folds(Journal(settings, stop))
        self._folding = executor("fold windows")
        self._fold: Future[None] | None = None
        self._folded = -1
        self._written: set[tuple[str, str, int]] = set()
        self._outages = 0
        self.done = 0
        """The newest checkpoint that this worker has seen rolled up."""

    @property
    def trouble(self) -> str:
        """The error being retried or the condition waited for; "" if none."""
        return self._journal.trouble or self._waiting

    @property
    def answered_at(self) -> float:
        """Monotonic instant of ClickHouse's last answer."""
        return self._journal.answered_at

    def checkpoints(self) -> Checkpoints:
        """All checkpoints recorded up to now. Raises LedgerUnavailable."""
        return self._open().refresh()

    def again(self, numbers: Iterable[int], *, afresh: bool = False) -> None:
        """Roll up checkpoints once more from the present records.

        ``afresh``: delete their windows first, since some may stem from records that no longer exist. Raises
        Stopping, LedgerUnavailable.
        """
        checkpoints = self.checkpoints()
        self._folds.begin_epoch()
        for number in numbers:
            if afresh:
                for table, column in (("usage_checkpoints", "number"), ("usage_windows", "checkpoint")):
                    self._journal.command(
                        f"delete checkpoint {number} from {table}",
                        f"DELETE FROM {table} WHERE {column} = {{k:UInt32}}",
                        {"k": number},
                    )
            self._roll_up(checkpoints, number)
        self._folds.begin_epoch()  # what another process folded meanwhile is of windows that were there before

    def _open(self) -> CheckpointLedger:
        if self._ledger is None:
            self._ledger = CheckpointLedger(self._settings)
        return self._ledger

    def run(self) -> int:
        """Roll up outstanding checkpoints; returns the newest one that is rolled up. Raises Stopping,
        LedgerUnavailable."""
        checkpoints = self.checkpoints()
        done = self._journal.run("read roll-ups", rolled_up)
        for number in range(done + 1, len(checkpoints.cuts) + 1):
            self._roll_up(checkpoints, number)
        self.done = max(done, len(checkpoints.cuts))
        self._begin_fold(checkpoints.cuts)
        return self.done

    def _begin_fold(self, cuts: Sequence[Cut]) -> None:
        """Fold windows in a thread of its own, so that no close waits for it, if a fold is outstanding."""
        busy = self._fold is not None and not self._fold.done()
        if not busy and (self._folded < 0 or any(fold_ends(cuts, self._folded))):
            self._fold = self._folding.submit(self._write_folds, cuts, self.done)

    def _write_folds(self, cuts: Sequence[Cut], rolled_up_to: int) -> None:
        try:
            self._folded = self._folds.write(cuts, rolled_up_to)
        except Stopping:
            return
        except Exception:  # queries go on reading windows; it is tried again after the next checkpoint
            log.exception("windows were not folded")

    def cut(self, now_us: int) -> Cut | None:
        """Cut a checkpoint over everything metered; None if the last one is younger than the setting, or if nothing
        is new."""
        progress = self._journal.run("read progress", read_progress)
        # Another worker may have metered under a newer catalog than this one has read; the cut's catalog offset must
        # cover all of them.
        end = catalog_end(self._settings)
        self._await_catalog(end)
        youngest = now_us - self._settings.checkpoint_seconds * 1_000_000

        def propose(previous: Cut | None) -> Cut | None:
            if previous is not None and previous.as_of_us > youngest:
                return None
            return next_cut(previous, progress, end, now_us)

        return self._open().cut(propose) if progress else None

    def _roll_up(self, checkpoints: Checkpoints, number: int) -> None:
        cut = checkpoints.cut(number)
        self._await_progress(cut)
        self._await_catalog(cut.catalog_offset)
        began = time.monotonic()
        self._write_versions(cut.catalog_offset)
        ranges = checkpoints.slice(number)
        if ranges:
            sql, parameters = roll_up_sql(ranges)
            self._journal.command(f"roll up checkpoint {number}", sql, parameters | {"k": number})
        if cut.backfill:
            roll_up_backfill(self._journal, self._catalog.catalog, checkpoints, cut, self._stage)
        self._journal.insert("usage_checkpoints", _checkpoint_table(cut, checkpoints))
        log.info("checkpoint %d rolled up in %.2f s", number, time.monotonic() - began)

    def _write_versions(self, catalog_offset: int) -> None:
        """Insert every profile version that a record below the cut may name into profile_versions. Versions are
        immutable."""
        if self._journal.outages != self._outages:
            # It may have been restored from a copy without them: the roll-up would fail for ever, and hold up the
            # thread that notices the restore.
            self._outages = self._journal.outages
            self._written.clear()
        catalog = self._catalog.catalog
        new = [
            (namespace, version)
            for namespace in catalog.namespaces()
            for version in profile_versions(catalog.view(namespace, catalog_offset))
            if (namespace, version.profile_id, version.version) not in self._written
        ]
        if new:
            self._journal.insert("profile_versions", versions_table(new))
            self._written |= {(namespace, version.profile_id, version.version) for namespace, version in new}

    def _await_catalog(self, offset: int) -> None:
        while not self._catalog.wait_for(offset, 1.0):
            self._waiting = f"waiting for usage.catalog to reach offset {offset}"
            if self._stop.is_set():
                raise Stopping("catalog")
        self._waiting = ""

    def _await_progress(self, cut: Cut) -> None:
        while True:
            progress = self._journal.run("read progress", read_progress)
            if all(progress.get(key, 0) >= end for key, end in cut.offsets.items()):
                self._waiting = ""
                return
            self._waiting = f"checkpoint {cut.number} lies beyond what is metered"
            log.warning("%s; waiting", self._waiting)
            if self._stop.wait(0.5):
                raise Stopping("progress")


def _checkpoint_table(cut: Cut, checkpoints: Checkpoints) -> pa.Table:
    offsets_before = checkpoints.cut(cut.number - 1).offsets if cut.number > 1 else {}
    items = sorted(cut.offsets.items())
    count = len(items)
    return pa.table(
        {
            "number": pa.array([cut.number] * count, pa.uint32()),
            "generation": pa.array([key[0] for key, _ in items], pa.uint32()),
            "partition": pa.array([key[1] for key, _ in items], pa.uint32()),
            "from_offset": pa.array([offsets_before.get(key, 0) for key, _ in items], pa.uint64()),
            "next_offset": pa.array([end for _, end in items], pa.uint64()),
            "catalog_offset": pa.array([cut.catalog_offset] * count, pa.uint64()),
            "as_of": pa.array([cut.as_of_us] * count, pa.timestamp("us", tz="UTC")),
            "backfill": pa.array([cut.backfill] * count, pa.string()),
        }
    )
