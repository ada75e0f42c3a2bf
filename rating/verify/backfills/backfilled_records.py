"""Backfilled records: matched again event by event, and what they mean for lines of invoices, by a path of its own.

What a backfill counts, and from which checkpoint on, is read from the catalog; which lines it holds for, from what
their invoice pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from rating.verify.chains import Head, StoredLine
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.matches import append_blocks
from rating.verify.records import position_text
from rating.verify.scope import Row, Scope, below
from schemas.catalog.backfill_jobs import Job, jobs
from schemas.catalog.backfill_reach import BackfillReach
from schemas.catalog.profiles import ProfileVersion
from schemas.events.event_types import DefaultsByOffset
from schemas.values.quantity import unscaled

NAME: Final = "backfilled records"
_REMEDY: Final = "publish the meter again with its start: the next backfill replaces this one"
_STORED: Final = """
SELECT generation, partition, offset, `index`, toString(profile_id), profile_version, account_id,
    toUnixTimestamp64Micro(timestamp),
    quantity, unique_value, toString(dimensions)
FROM usage_records FINAL WHERE namespace = {{ns:String}} AND checkpoint = {{k:UInt32}} AND {append}"""
_EVENTS: Final = """
SELECT generation, partition, offset, `index`, account_id, toUnixTimestamp64Micro(timestamp), idempotency_key,
    properties, batches.catalog_offset
FROM (SELECT * FROM usage_events FINAL WHERE namespace = {{ns:String}} AND event_name = {{name:String}} AND {append}
    AND {range}) AS counted
LEFT ANY JOIN (
    SELECT generation, partition, offset, catalog_offset, 1 AS known FROM usage_batches
    WHERE namespace = {{ns:String}} AND catalog_offset < {{known:UInt64}} AND {append}
) AS batches USING (generation, partition, offset) WHERE batches.known"""


class _RecordKey(NamedTuple):
    """A record of a backfill: the position of its event, and the profile version."""

    generation: int
    partition: int
    offset: int
    event_index: int
    profile_id: str
    profile_version: int


class _BackfilledRecord(NamedTuple):
    """What a record counts; ``dimensions``: JSON."""

    account_id: str
    us: int
    quantity: Decimal
    unique_value: str
    dimensions: str


@dataclass(frozen=True, slots=True)
class Pin:
    """One backfilled version of a profile, as far as it counted for a line."""

    version: ProfileVersion
    start_us: int
    known_from: int
    reaches: tuple[BackfillReach, ...]

    def part(self, partition_key: tuple[int, int], offset: int) -> int | None:
        """The checkpoint to which the record of an event at a position belongs; None: it is not backfilled."""
        return next((reach.checkpoint for reach in self.reaches if offset < reach.offsets.get(partition_key, 0)), None)

    def replaces(self, partition_key: tuple[int, int], offset: int, us: int, number: int, checkpoint: int) -> bool:
        """Whether a record of version ``number`` (of a backfill's ``checkpoint``; 0: an ordinary one) no longer
        counts."""
        if number >= self.version.version or us < self.start_us:
            return False
        last_reach = self.reaches[-1]
        return checkpoint <= last_reach.checkpoint if checkpoint else offset < last_reach.offsets.get(partition_key, 0)


class Pins:
    """What was backfilled for each line's profile when it was billed; an adjustment's, when what it adjusts was."""

    def __init__(self, scope: Scope, heads: Iterable[Head]) -> None:
        self._scope = scope
        self._heads = {(head.namespace, head.invoice_id): head for head in heads}
        self._jobs: dict[tuple[str, int], tuple[Job, ...]] = {}

    def of(self, head: Head, line: StoredLine) -> tuple[Pin, ...]:
        """Ascending by version."""
        head = self._heads.get((head.namespace, line.adjusts), head) if line.adjusts else head
        key = (head.namespace, self._scope.catalog.view(head.namespace, head.catalog_offset).before)
        if key not in self._jobs:
            self._jobs[key] = jobs(self._scope.catalog.view(*key))
        return tuple(_pins(self._jobs[key], line.profile_id, head.checkpoint))


def _pins(jobs: Iterable[Job], profile_id: str, checkpoint: int) -> Iterator[Pin]:
    for job in jobs:
        reaches = tuple(reach for reach in job.reaches if reach.checkpoint <= checkpoint)
        for version in job.versions:
            if version.profile_id == profile_id and reaches:
                yield Pin(version, job.start_us, job.known_from, reaches)


def counted_sql(cut: str, pins: Iterable[Pin]) -> str:
    """SQL: a record of usage_records counts. ``cut``: the condition on ordinary records' positions; ``pins``: what was
    backfilled."""
    conditions = []
    known = [0]
    for pin in pins:
        known += [reach.checkpoint for reach in pin.reaches]
        last_reach = pin.reaches[-1]
        inside = f"if(checkpoint = 0, {below(last_reach.offsets)}, checkpoint <= {last_reach.checkpoint})"
        instant = f"fromUnixTimestamp64Micro({pin.start_us}, 'UTC')"
        conditions.append(f"NOT (profile_version < {pin.version.version} AND timestamp >= {instant} AND {inside})")
    return " AND ".join([f"if(checkpoint = 0, {cut}, has({known}, checkpoint))", *conditions])


def check_backfilled(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """usage_records of every backfill that is done: missing, extra and different ones; and those that belong to
    none."""
    backfill_jobs = [
        job
        for namespace in ([scope.namespace] if scope.namespace else scope.catalog.namespaces())
        for job in jobs(scope.catalog.view(namespace))
    ]
    blocks = append_blocks(scope) if any(job.reaches for job in backfill_jobs) else []
    for done, block in enumerate(blocks):
        on_progress(NAME, done, len(blocks))
        for job in backfill_jobs:
            covered = "0"
            for reach in job.reaches:
                _check_block(scope, job, reach, block.condition, f"{below(reach.offsets)} AND NOT {covered}", findings)
                covered = below(reach.offsets)
    named = sorted(scope.checkpoints.cuts.backfills)
    for namespace, profile, checkpoint, count in scope.rows(
        f"SELECT namespace, profile_id, checkpoint, count() FROM usage_records FINAL WHERE {scope.of_namespace}"
        f" AND checkpoint > 0 AND NOT has({named or [0]}, checkpoint) GROUP BY namespace, profile_id, checkpoint"
    ):
        location = f"usage_records of {namespace} {profile}, checkpoint {checkpoint}"
        findings.add("backfill", location, "a checkpoint that names a backfill", f"{count} records", _REMEDY)
    on_progress(NAME, 1, 1)


def _check_block(scope: Scope, job: Job, reach: BackfillReach, append: str, positions: str, findings: Findings) -> None:
    defaults = DefaultsByOffset(scope.catalog.view(job.namespace), job.event_name)
    matcher_at = defaults.matchers(job.versions, exactly=not job.rounds)
    parameters = {"ns": job.namespace, "name": job.event_name, "known": job.known_from, "k": reach.checkpoint}
    expected: dict[_RecordKey, _BackfilledRecord] = {}
    for *position, account, us, key, properties, catalog_offset in scope.rows(
        _EVENTS.format(append=append, range=positions), parameters
    ):
        try:
            matches = matcher_at(int(catalog_offset)).match(job.event_name, us, key, properties).matches
        except ValueError:
            continue  # written past acceptance
        for match in matches:
            record = _BackfilledRecord(account, us, unscaled(match.units), match.unique_value, match.dimensions)
            expected[_record_key(position, match.profile_id, match.profile_version)] = record
    stored = {
        _record_key(row[:4], row[4], row[5]): _BackfilledRecord(*row[6:])
        for row in scope.rows(_STORED.format(append=append), parameters)
    }
    for key in sorted({*expected, *stored}):
        if expected.get(key) != stored.get(key):
            position_of_event = position_text(key.generation, key.partition, key.offset, key.event_index)
            profile = f"{key.profile_id} version {key.profile_version}"
            location = f"usage_records of backfill {job.name}, {profile} at {position_of_event}"
            findings.add("backfill", location, _text(expected.get(key)), _text(stored.get(key)), _REMEDY)


def _record_key(position: Row, profile_id: str, profile_version: int) -> _RecordKey:
    generation, partition, offset, index = map(int, position)
    return _RecordKey(generation, partition, offset, index, profile_id, int(profile_version))


def _text(row: _BackfilledRecord | None) -> str:
    """A record's values with spaces between."""
    return "no record" if row is None else " ".join(str(part) for part in row if part != "")
