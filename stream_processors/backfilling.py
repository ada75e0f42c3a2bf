"""Doing a backfill, step by step (schemas/backfills.py says what holds in between). Safe to kill anywhere, and to run twice at once.

1. A checkpoint, the *target*, covers all that is metered: events below it are the backfill's.
2. Pages of counted events are read, matched and written to backfill_records, each page in the order of the journal's key; after
   a page its end is written to backfill_progress. A page that is read again writes the same rows.
3. A checkpoint of the backfill's own, over the target's offsets, is recorded. Where another cut came in between, it is the new target, and
   what lies between the two is read first.
4. The worker rolls it up, as any checkpoint (``rollup.py``).
5. The catalog is told. From here on the version counts.
6. What was staged is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pyarrow as pa

from schemas.backfills import Job, job_of, staged_name, waiting, watched
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import record_of
from schemas.checkpoints import CheckpointLedger, Checkpoints, Cut, next_cut, read_progress, rolled_up
from schemas.codec import codec
from schemas.generation_change import end_offsets
from schemas.instants import micros
from schemas.ledger_io import LedgerReader, LedgerWriter
from schemas.settings import Settings
from schemas.topics import CATALOG
from stream_processors.backfill_rows import BackfillMatcher
from stream_processors.journal import Journal, Stopping
from stream_processors.slices import Slice, between, slice_sql

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 2.0
"""So old is a version before its backfill begins: gateways that did not know it at once do by now, and need no second round."""
_WARN_SECONDS: Final = 30.0
DONE: Final = 99_999_999
_AUTHOR: Final = "weir backfill"
_KEY: Final = "account_id, timestamp, generation, partition, offset, `index`"
Key = tuple[str, int, int, int, int, int]
"""Account, timestamp (microseconds), position: the journal's order within an append day and event name."""
_NOWHERE: Final[Key] = ("", 0, 0, 0, 0, 0)

Report = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one pass over the events between two checkpoints has got: day by day of their append, page by page up to ``key``.
    ``name``: of the backfill and its part."""

    name: str
    from_checkpoint: int
    to_checkpoint: int
    day: int = 0
    key: Key = _NOWHERE
    events_read: int = 0
    events_total: int = 0
    records: int = 0


@dataclass(slots=True)
class Stages:
    """What a test may kill between; None of it is needed otherwise."""

    after: Callable[[str], None] = field(default=lambda _: None)


class Backfiller:
    """Does every backfill that waits. One thread at a time; any number of processes."""

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
        self._report = report
        self._page_events = settings.backfill_page_events
        self._settle_seconds = settle_seconds
        self._stages = stages or Stages()
        self._ledger: CheckpointLedger | None = None

    def run(self, only: str | None = None) -> int:
        """Do what waits (``only``: the backfill of that name), look after those that are done, and tidy up; how many were done.

        Raises Stopping, LedgerUnavailable.
        """
        done = 0
        while job := next((one for one in waiting(self._catalog.catalog) if only in (None, one.name)), None):
            self.backfill(job)
            done += 1
        for job in self.with_stragglers():
            if only in (None, job.name):
                self.backfill(job)
        self.tidy()
        return done

    def with_stragglers(self) -> list[Job]:
        """Backfills that are done, and have events since, of batches that did not know the version."""
        found = []
        for job in watched(self._catalog.catalog, time.time_ns() // 1000):
            condition, parameters = _beyond(job.reaches[-1].offsets)
            rows = self._journal.query(
                f"look for stragglers of {job.name}",
                "SELECT count() FROM usage_batches WHERE namespace = {ns:String} AND catalog_offset < {known:UInt64} AND events > 0"
                f" AND append_time >= fromUnixTimestamp64Micro({{published:Int64}}, 'UTC') - toIntervalHour(1) AND {condition}",
                parameters | {"ns": job.namespace, "known": job.known_from, "published": job.published_us},
            )
            if rows[0][0]:
                found.append(job)
        return found

    def backfill(self, job: Job) -> None:
        """All steps of one backfill, going on wherever it stands. Raises Stopping, LedgerUnavailable."""
        ledger = self._open()
        part = len(job.reaches) + 1
        cut = _own(ledger.refresh(), job, part)  # whoever recorded it may have died before it could tell
        if cut is None:
            self._settle(job)
            cut = self._staged(job, part, ledger)
        self._await_roll_up(cut)
        self._stages.after("rolled up")
        self._tell(job, cut, part)
        self._stages.after("told")
        log.info("backfill %s is done as of checkpoint %d", job.name, cut.number)

    def tidy(self) -> None:
        """Drop what was staged of backfills that are done."""
        rows = self._journal.query(
            "list staged backfills", "SELECT DISTINCT toString(backfill), _partition_id FROM backfill_records"
        )
        for label, partition in rows:
            name, _, part = str(label).rpartition("#")
            job = job_of(self._catalog.catalog, name)
            if job is not None and len(job.reaches) >= int(part):
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
        rest = self._settle_seconds - (time.time_ns() // 1000 - job.published_us) / 1_000_000
        if rest > 0 and self._stop.wait(min(rest, self._settle_seconds)):
            raise Stopping("backfill")

    # --- staging ------------------------------------------------------------------------------------------------------------

    def _staged(self, job: Job, part: int, ledger: CheckpointLedger) -> Cut:
        """Steps 1 to 3: the backfill's own checkpoint, with everything below it staged."""
        matcher = BackfillMatcher(job, part)
        target = self._target(ledger)
        before = _own(ledger.checkpoints, job, part - 1)
        while True:
            progress = self._stand(staged_name(job.name, part), before.number if before else 0)
            if progress.day == DONE and progress.to_checkpoint >= target.number:
                cut = self._record(job, part, ledger, ledger.refresh().cut(progress.to_checkpoint))
                if cut is not None:
                    self._stages.after("recorded")
                    return cut
                target = ledger.checkpoints.cuts[-1]
                continue
            if progress.day == DONE:
                progress = Progress(progress.name, progress.to_checkpoint, target.number)
            self._pass(job, matcher, ledger.refresh(), progress)
            self._stages.after("staged")

    def _target(self, ledger: CheckpointLedger) -> Cut:
        """A checkpoint over all that is in the log by now, and metered."""
        ends = end_offsets(self._settings)
        while True:
            progress = self._journal.run("read progress", read_progress)
            if all(progress.get(key, 0) >= end for key, end in ends.items()):
                break
            if self._stop.wait(0.2):
                raise Stopping("metering")
        catalog_offset = self._catalog_end()

        def propose(last: Cut | None) -> Cut | None:
            if last is not None and all(last.offsets.get(key, 0) >= end for key, end in ends.items()):
                return None
            return next_cut(last, dict.fromkeys(ends, 0) | progress, catalog_offset, _now_us())

        cut = ledger.cut(propose) or ledger.checkpoints.last
        assert cut is not None, "the log has partitions, so there is a cut"
        return cut

    def _record(self, job: Job, part: int, ledger: CheckpointLedger, target: Cut) -> Cut | None:
        """Step 3; None where another cut came after the target. One that another process recorded for this backfill is taken."""
        catalog_offset = self._catalog_end()

        def propose(last: Cut | None) -> Cut | None:
            if last is None or last.number != target.number or _own(ledger.checkpoints, job, part) is not None:
                return None
            as_of = max(_now_us(), last.as_of_us)
            return Cut(last.number + 1, last.offsets, catalog_offset, as_of, job.name)

        return ledger.cut(propose) or _own(ledger.checkpoints, job, part)

    def _stand(self, name: str, before: int) -> Progress:
        """The pass that is furthest; where there is none, one that is done up to the checkpoint ``before``."""
        rows = self._journal.query(
            "read the backfill's progress",
            "SELECT from_checkpoint, to_checkpoint, day, account_id, toUnixTimestamp64Micro(timestamp), generation, partition, offset,"
            " `index`, events_read, events_total, records FROM backfill_progress FINAL WHERE backfill = {name:String}"
            " ORDER BY to_checkpoint DESC, day DESC, events_read DESC LIMIT 1",
            {"name": name},
        )
        if not rows:
            return Progress(name, before, before, DONE)
        start, end, day, account, us, generation, partition, offset, index, read, total, records = rows[0]
        key = (str(account), int(us), int(generation), int(partition), int(offset), int(index))
        return Progress(name, int(start), int(end), int(day), key, int(read), int(total), int(records))

    def _pass(self, job: Job, matcher: BackfillMatcher, checkpoints: Checkpoints, progress: Progress) -> None:
        """Step 2 for the events between two checkpoints."""
        before = checkpoints.cut(progress.from_checkpoint).offsets if progress.from_checkpoint else {}
        ranges = between(before, checkpoints.cut(progress.to_checkpoint).offsets)
        days = self._days(job, ranges) if ranges else []
        progress = replace(progress, events_total=max(progress.events_total, sum(count for _, count, _ in days)))
        self._report(progress)
        for day, _, mixed in days:
            if day < progress.day:
                continue
            if day > progress.day:
                progress = replace(progress, day=day, key=_NOWHERE)
            while True:
                events = self._page(job, ranges, day, mixed, progress.key)
                if events.num_rows:
                    records = matcher.records(events)
                    self._journal.insert("backfill_records", records)
                    progress = replace(
                        progress, key=_key_of(events), events_read=progress.events_read + events.num_rows,
                        records=progress.records + records.num_rows,
                    )  # fmt: skip
                    self._keep(progress)
                    self._stages.after("page")
                if self._stop.is_set():
                    raise Stopping("backfill")
                if events.num_rows < self._page_events:
                    break
        self._keep(replace(progress, day=DONE, events_total=progress.events_read))

    def _days(self, job: Job, ranges: Slice) -> list[tuple[int, int, bool]]:
        """(append day, events, whether some batches of it knew the version) of what is to be read, ascending."""
        condition, parameters = slice_sql(ranges)
        rows = self._journal.query(
            f"count the events of {job.name}",
            f"SELECT toYYYYMMDD(append_time) AS day, count(), max(append_time) FROM usage_events WHERE {_EVENTS} AND {condition}"
            " GROUP BY day ORDER BY day",
            parameters | _parameters(job),
        )
        # A batch that knew the version was appended after it was published, but for clocks of brokers.
        mixed_from = job.published_us - 3_600_000_000
        return [(int(day), int(count), micros(last) >= mixed_from) for day, count, last in rows]

    def _page(self, job: Job, ranges: Slice, day: int, mixed: bool, after: Key) -> pa.Table:
        """The next events after the key ``after`` of an append day, in order of their keys."""
        condition, parameters = slice_sql(ranges)
        account, us, *position = after
        conditions = [_EVENTS, condition, "toYYYYMMDD(append_time) = {day:UInt32}"]
        if after != _NOWHERE:
            # The first line is what the primary key prunes by.
            conditions.append(
                "(account_id > {account:String} OR (account_id = {account:String} AND timestamp >= {at}))"
            )
            conditions.append(
                f"({_KEY}) > ({{account:String}}, {{at}}, {{g:UInt32}}, {{p:UInt32}}, {{o:UInt64}}, {{i:UInt32}})"
            )
        if mixed:
            conditions.append(
                "(generation, partition, offset) IN (SELECT generation, partition, offset FROM usage_batches"
                f" WHERE namespace = {{ns:String}} AND catalog_offset < {{known:UInt64}} AND {condition})"
            )
        at = "fromUnixTimestamp64Micro({us:Int64}, 'UTC')"
        sql = (
            "SELECT account_id, timestamp, idempotency_key, properties, generation, partition, offset, `index`, append_time"
            f" FROM usage_events FINAL WHERE {' AND '.join(conditions).replace('{at}', at)}"
            " ORDER BY namespace, account_id, event_name, timestamp, generation, partition, offset, `index`"
            f" LIMIT {self._page_events}"
        )
        values = _parameters(job) | parameters | {"day": day, "known": job.known_from, "account": account, "us": us}
        values |= dict(zip("gpoi", position, strict=True))
        table: pa.Table = self._journal.run(
            f"read events of {job.name}",
            lambda client: client.query_arrow(sql, parameters=values, use_strings=False),
        )
        return table

    def _keep(self, progress: Progress) -> None:
        account, us, generation, partition, offset, index = progress.key
        row: dict[str, tuple[Any, Any]] = {
            "backfill": (progress.name, pa.string()),
            "from_checkpoint": (progress.from_checkpoint, pa.uint32()), "to_checkpoint": (progress.to_checkpoint, pa.uint32()),
            "day": (progress.day, pa.uint32()), "account_id": (account, pa.string()),
            "timestamp": (us, pa.timestamp("us", tz="UTC")),
            "generation": (generation, pa.uint32()), "partition": (partition, pa.uint32()),
            "offset": (offset, pa.uint64()), "index": (index, pa.uint32()),
            "events_read": (progress.events_read, pa.uint64()), "events_total": (progress.events_total, pa.uint64()),
            "records": (progress.records, pa.uint64()), "updated_at": (_now_us() // 1000, pa.timestamp("ms", tz="UTC")),
        }  # fmt: skip
        self._journal.insert(
            "backfill_progress", pa.table({name: pa.array([value], kind) for name, (value, kind) in row.items()})
        )
        self._report(progress)

    # --- telling -------------------------------------------------------------------------------------------------------------

    def _await_roll_up(self, cut: Cut) -> None:
        warned_at = time.monotonic()
        while int(self._journal.run("read roll-ups", rolled_up)) < cut.number:
            if time.monotonic() - warned_at > _WARN_SECONDS:
                warned_at = time.monotonic()
                log.warning("checkpoint %d is not rolled up yet; is a worker running? `weir status` tells", cut.number)
            if self._stop.wait(0.1):
                raise Stopping("roll-up")

    def _tell(self, job: Job, cut: Cut, version: int) -> None:
        """Step 5. The first entry of a version wins, and says the same as any other."""
        model = job.entry(cut)
        record = record_of(
            job.namespace, model, kind="backfill", version=version, author=_AUTHOR, claim_id=uuid.uuid4().hex
        )
        key = f"{job.namespace}/backfill/{model.code}".encode()
        ((_, offset),) = LedgerWriter(self._settings, CATALOG).append_all(
            [(key, codec("catalog_entry").encode(record))], 0
        )
        while not self._catalog.wait_for(offset + 1, 1.0):
            if self._stop.is_set():
                raise Stopping("catalog")

    def _catalog_end(self) -> int:
        with LedgerReader(self._settings, CATALOG) as reader:
            return reader.end_offsets()[0]


_EVENTS: Final = "namespace = {ns:String} AND event_name = {name:String} AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')"


def _parameters(job: Job) -> dict[str, Any]:
    return {"ns": job.namespace, "name": job.event_name, "start": job.start_us}


def _now_us() -> int:
    return time.time_ns() // 1000


def _own(checkpoints: Checkpoints, job: Job, part: int) -> Cut | None:
    """The checkpoint of a part of the backfill (1, 2, …), None where it has none yet."""
    cuts = checkpoints.backfilled(job.name)
    return cuts[part - 1] if 0 < part <= len(cuts) else None


def _key_of(events: pa.Table) -> Key:
    (last,) = events.slice(events.num_rows - 1).to_pylist()
    return (
        last["account_id"].decode(), micros(last["timestamp"]), last["generation"], last["partition"], last["offset"], last["index"],
    )  # fmt: skip


def _beyond(offsets: Any) -> tuple[str, dict[str, Any]]:
    """The condition that a position lies at ``offsets`` or beyond; a partition that they do not know does."""
    keys = [(generation << 32) + partition for generation, partition in offsets]
    return (
        "(offset >= transform(bitShiftLeft(toUInt64(generation), 32) + partition, {keys:Array(UInt64)}, {ends:Array(UInt64)}, toUInt64(0)))",
        {"keys": keys, "ends": list(offsets.values())},
    )
