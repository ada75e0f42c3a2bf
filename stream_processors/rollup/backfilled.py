"""Rolls up a backfill's checkpoint: staged records become usage_records and windows of that checkpoint. Repeating
it writes the same rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import pyarrow as pa

from schemas.catalog.backfill_jobs import Job, job_of, staged_name
from schemas.catalog.state import Catalog
from schemas.clickhouse.binder import Binder
from schemas.ledgers.checkpoints import Checkpoints, Cut
from stream_processors.metering.journal import Journal
from stream_processors.rollup.slices import Slice, between, in_slice
from stream_processors.rollup.windows import windows_sql

log = logging.getLogger(__name__)

BackfilledStage = Callable[[Job, Cut, Checkpoints], None]
"""Has everything staged that a backfill's checkpoint takes in."""
_RECORD: Final = (
    "namespace, profile_id, profile_version, account_id, timestamp, quantity, unique_value, dimensions, generation, "
    "partition, offset,"
    " `index`, append_time"
)


def roll_up_backfill_sql() -> str:
    """The INSERT … SELECT of a backfill's windows. Parameters: ``{k:UInt32}`` (its checkpoint),
    ``{namespace:String}``, ``{profiles:Array(String)}``."""
    records = "checkpoint = {k:UInt32} AND namespace = {namespace:String} AND profile_id IN {profiles:Array(String)}"
    return windows_sql(records, backfilled=True)


def roll_up_backfill(
    journal: Journal, catalog: Catalog, checkpoints: Checkpoints, cut: Cut, stage: BackfilledStage
) -> None:
    """Copy the staged records below the cut to usage_records, aggregate them into windows, and note the roll-up in
    usage_backfills. ``stage`` is called first where usage_backfills does not have the cut."""
    job = job_of(catalog, cut.backfill)
    if job is None:
        log.warning("checkpoint %d names the backfill %s, which the catalog does not know", cut.number, cut.backfill)
        return
    cuts = checkpoints.backfilled(cut.backfill, cut.number)
    ranges = between(cuts[-2].offsets if len(cuts) > 1 else {}, cut.offsets)
    if ranges:
        if not taken_in(journal, job, cut):
            stage(job, cut, checkpoints)
        _take_in(journal, job, cut, len(cuts), ranges)
    journal.insert("usage_backfills", _table(job, cut))


def _take_in(journal: Journal, job: Job, cut: Cut, part: int, ranges: Slice) -> None:
    bind = Binder()
    condition = in_slice(ranges, bind)
    staged = {"staged": staged_name(job.name, part), "k": cut.number}
    months = journal.query(
        "list the months of a backfill",
        "SELECT DISTINCT toYYYYMM(append_time) AS month FROM backfill_records WHERE backfill = {staged:String} ORDER "
        "BY month",
        staged,
    )
    for (month,) in months:  # one at a time: ClickHouse refuses an insert into too many partitions
        journal.command(
            f"take in the backfill of checkpoint {cut.number}",
            f"INSERT INTO usage_records ({_RECORD}, checkpoint) SELECT {_RECORD}, {{k:UInt32}} FROM "
            "backfill_records FINAL"
            f" WHERE backfill = {{staged:String}} AND toYYYYMM(append_time) = {{month:UInt32}} AND {condition}",
            bind.parameters | staged | {"month": month},
        )
    profiles = sorted({version.profile_id for version in job.versions})
    journal.command(
        f"roll up the backfill of checkpoint {cut.number}",
        roll_up_backfill_sql(),
        {"k": cut.number, "namespace": job.namespace, "profiles": profiles},
    )


def taken_in(journal: Journal, job: Job, cut: Cut) -> bool:
    """Whether the checkpoint was rolled up together with its backfill. A release of Weir that knows no backfills
    rolls it up as an empty slice."""
    rows = journal.query(
        "look for the backfill",
        "SELECT count() FROM usage_backfills WHERE namespace = {ns:String} AND checkpoint = {k:UInt32}",
        {"ns": job.namespace, "k": cut.number},
    )
    return bool(rows[0][0])


def _table(job: Job, cut: Cut) -> pa.Table:
    """The Arrow table of usage_backfills, which the analysts' views use."""
    count = len(job.versions)
    ends = [((generation << 32) + partition, end) for (generation, partition), end in sorted(cut.offsets.items())]
    return pa.table(
        {
            "namespace": pa.array([job.namespace] * count, pa.string()),
            "profile_id": pa.array([version.profile_id for version in job.versions], pa.string()),
            "profile_version": pa.array([version.version for version in job.versions], pa.uint32()),
            "start": pa.array([job.start_us] * count, pa.timestamp("us", tz="UTC")),
            "checkpoint": pa.array([cut.number] * count, pa.uint32()),
            "ends": pa.array([ends] * count, pa.map_(pa.uint64(), pa.uint64())),
        }
    )
