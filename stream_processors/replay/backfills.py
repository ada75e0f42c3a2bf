"""Backfills whose records ClickHouse has lost are counted once more, under the checkpoint that they have."""

from __future__ import annotations

import threading

from schemas.catalog.backfill_jobs import job_of
from schemas.catalog.follower import CatalogFollower
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.settings import Settings
from stream_processors.backfill.staging import Report, Staging
from stream_processors.metering.journal import Journal
from stream_processors.rollup.backfilled import roll_up_backfill


def restore_backfill(settings: Settings, name: str, checkpoint: int, report: Report = lambda _: None) -> None:
    """Stage what a backfill's checkpoint takes in, and take it in again: records and windows are written over by the
    same. May be repeated, interrupted anywhere, and done while workers run. ``name``: namespace/meter/version.

    Raises LedgerUnavailable, and LookupError where nothing of that name and checkpoint is known.
    """
    stop = threading.Event()
    catalog, ledger = CatalogFollower(settings).start(), CheckpointLedger(settings)
    try:
        checkpoints = ledger.refresh()
        job, cut = job_of(catalog.catalog, name), checkpoints.cut(checkpoint)
        if job is None or cut.backfill != name:
            raise LookupError(f"checkpoint {checkpoint} is none of the backfill {name}")
        staging, journal = Staging(settings, catalog, stop, report=report), Journal(settings, stop)
        staging.again(job, cut, checkpoints)
        roll_up_backfill(journal, catalog.catalog, checkpoints, cut, lambda *_: None)
    finally:
        catalog.stop()
        ledger.close()
