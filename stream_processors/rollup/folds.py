"""Folds: the windows of many checkpoints as one, rolled up once more from the records (DESIGN invariants 7 and 8).

A fold takes in all slices above the fold before it, up to the checkpoint it ends with. Which checkpoints end one is a
function of the ledger alone, so every worker writes the same rows, and again the same after it was killed. The row of
usage_folds that lets queries read it instead of the windows is written last. usage_windows keeps its rows.

Whoever is about to change windows that are there begins a new epoch, before and after: folds of an older epoch count
for nothing, also one that a worker is writing meanwhile. So does who sees that ClickHouse was restored from an older
copy: a fold that was being written may have been made of what the copy lacks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final

from schemas.clickhouse.binder import Binder
from schemas.ledgers.checkpoints import Cut
from schemas.ledgers.checkpoints import rolled_up as read_rolled_up
from schemas.values.instants import SECOND
from stream_processors.metering.journal import Journal
from stream_processors.rollup.slices import Slice, between, in_slice, records_in
from stream_processors.rollup.windows import folded_windows_sql

log = logging.getLogger(__name__)

SPAN_US: Final = 3600 * SECOND
EPOCH_SQL: Final = "SELECT max(epoch) FROM usage_folds WHERE namespace = ''"


def fold_ends(cuts: Sequence[Cut], after: int = 0, known: int | None = None) -> Iterator[int]:
    """The checkpoints above ``after`` with which a fold ends: the last of each hour (UTC), and those of backfills,
    which replace what is in windows up to them and nothing beyond. ``cuts``: all, of which the first ``known`` are
    looked at; the last of these ends none yet."""
    for index in range(after, (len(cuts) if known is None else min(known, len(cuts))) - 1):
        cut, following = cuts[index], cuts[index + 1]
        if cut.backfill or cut.as_of_us // SPAN_US != following.as_of_us // SPAN_US:
            yield cut.number


class Folds:
    """Writes folds. Use it from one thread at a time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def write(self, cuts: Sequence[Cut], rolled_up: int) -> int:
        """Write the outstanding folds; returns the checkpoint up to which there are folds, 0 where an epoch has begun
        meanwhile and all are outstanding again. ``cuts``: all of them; ``rolled_up``: the newest that was in windows
        (a ClickHouse restored since may have fewer, and lack records of the others). Raises Stopping."""
        epoch, done = self._state()
        known = min(rolled_up, self._journal.run("read roll-ups", read_rolled_up))
        for end in fold_ends(cuts, done, known + 1):
            newest, written = self._state()
            if newest != epoch:
                return 0
            if written < end:  # else another worker has done it meanwhile
                began = time.monotonic()
                previous = cuts[done - 1].offsets if done else {}
                self._write(between(previous, cuts[end - 1].offsets), end, epoch)
                log.info("windows up to checkpoint %d folded in %.2f s", end, time.monotonic() - began)
            done = end
        return done

    def begin_epoch(self) -> None:
        """Have queries read windows alone, and all folds be written once more. Raises Stopping."""
        self._journal.command(
            "begin an epoch of folds", f"INSERT INTO usage_folds SELECT '', 0, toUInt32(({EPOCH_SQL}) + 1)", {}
        )
        epoch, _ = self._state()  # replicated tables refuse a deletion with a query in it
        self._journal.command(
            "delete folds of older epochs",
            # A query that learnt of the epoch before a moment ago still reads its folds.
            "DELETE FROM usage_window_folds WHERE epoch + 1 < {epoch:UInt32}",
            {"epoch": epoch},
        )

    def _state(self) -> tuple[int, int]:
        [[epoch, number]] = self._journal.query(
            "read how far windows are folded",
            f"SELECT ({EPOCH_SQL}) AS newest, max(number) FROM usage_folds WHERE namespace = '' AND epoch = newest",
        )
        return int(epoch), int(number)

    def _write(self, ranges: Slice, end: int, epoch: int) -> None:
        what, fold_parameters = f"fold the windows up to checkpoint {end}", {"k": end, "epoch": epoch}
        if ranges:
            records, parameters = records_in(ranges)
            self._journal.command(what, folded_windows_sql(records), parameters | fold_parameters)
            bind = Binder()
            self._journal.command(
                f"{what}: say whose they are",
                "INSERT INTO usage_folds SELECT DISTINCT namespace, {k:UInt32}, {epoch:UInt32} FROM usage_batches"
                f" WHERE {in_slice(ranges, bind)}",
                bind.parameters | fold_parameters,
            )
        self._journal.command(
            f"{what}: say that they are",
            "INSERT INTO usage_folds SELECT '', {k:UInt32}, {epoch:UInt32}",
            fold_parameters,
        )
