"""Reads counted events for a backfill, page by page in the order of usage_events' key, and stores the progress. One
instance per thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from schemas.catalog.backfill_jobs import Job
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.client import Parameters
from schemas.values.instants import micros
from stream_processors.metering.journal import Journal
from stream_processors.rollup.slices import Slice, in_slice

DONE: Final = 99_999_999
_KEY: Final = "account_id, timestamp, generation, partition, offset, `index`"
_EVENTS: Final = (
    "namespace = {ns:String} AND event_name = {name:String} AND timestamp >= "
    "fromUnixTimestamp64Micro({start:Int64}, 'UTC')"
)

JournalKey = tuple[str, int, int, int, int, int]
"""Account, event timestamp (microseconds UTC) and position: the order of usage_events within an append day and event
name."""
NOWHERE: Final[JournalKey] = ("", 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class PassProgress:
    """Progress of one pass over the events between two checkpoints.

    ``name``: the backfill and its part; ``day``: the append day being read (yyyymmdd), ``DONE`` when the pass is
    complete; ``key``: the last event that was processed on that day.
    """

    name: str
    from_checkpoint: int
    to_checkpoint: int
    day: int = 0
    key: JournalKey = NOWHERE
    events_read: int = 0
    events_total: int = 0
    records: int = 0


_FIRST_PAGE: Final = 2_000
_PAGE_BYTES: Final = 64 * 1024 * 1024


def next_size(size: int, events: int, size_bytes: int, most: int) -> int:
    """Number of events to request for the page after one of ``size``, which returned ``events`` in ``size_bytes``.

    The target is about 64 MiB, at most ``most`` events, and at most ten times the previous page, because later
    events may be larger.
    """
    if not events:
        return size
    return max(1, min(most, size * 10, _PAGE_BYTES * events // max(size_bytes, 1)))


class Pages:
    """Reads pages of at most ``most`` events from ClickHouse, fewer where events are large."""

    def __init__(self, journal: Journal, most: int) -> None:
        self._journal = journal
        self._most = most
        self._size = min(most, _FIRST_PAGE)

    def stand(self, name: str, from_checkpoint: int) -> PassProgress:
        """The stored progress of the furthest pass; if none is stored, a complete pass that ends at
        ``from_checkpoint``."""
        rows = self._journal.query(
            "read the backfill's progress",
            "SELECT from_checkpoint, to_checkpoint, day, account_id, toUnixTimestamp64Micro(timestamp), generation, "
            "partition, offset,"
            " `index`, events_read, events_total, records FROM backfill_progress FINAL WHERE backfill = {name:String}"
            " ORDER BY to_checkpoint DESC, day DESC, events_read DESC LIMIT 1",
            {"name": name},
        )
        if not rows:
            return PassProgress(name, from_checkpoint, from_checkpoint, DONE)
        start, end, day, account, us, generation, partition, offset, index, read, total, records = rows[0]
        key = (str(account), int(us), int(generation), int(partition), int(offset), int(index))
        return PassProgress(name, int(start), int(end), int(day), key, int(read), int(total), int(records))

    def whole(self, name: str, to_checkpoint: int) -> bool:
        """Whether every pass up to ``to_checkpoint`` is done and all of its records are still staged."""
        stand = self.stand(name, 0)
        if stand.day != DONE or stand.to_checkpoint < to_checkpoint:
            return False
        rows = self._journal.query(
            "count what is staged",
            "SELECT (SELECT count() FROM backfill_records FINAL WHERE backfill = {name:String}) ="
            " (SELECT sum(records) FROM backfill_progress FINAL WHERE backfill = {name:String}"
            " AND day = {done:UInt32})",
            {"name": name, "done": DONE},
        )
        return bool(rows[0][0])

    def days(self, job: Job, ranges: Slice) -> list[tuple[int, int, bool]]:
        """The append days to read, ascending, each as (yyyymmdd, number of events, whether some of its batches
        already knew the version)."""
        bind = Binder()
        condition = in_slice(ranges, bind)
        rows = self._journal.query(
            f"count the events of {job.name}",
            f"SELECT toYYYYMMDD(append_time) AS day, count(), max(append_time) FROM usage_events WHERE {_EVENTS} AND "
            f"{condition}"
            " GROUP BY day ORDER BY day",
            bind.parameters | _parameters(job),
        )
        # A batch that knew the version was appended after its publication, give or take an hour of broker clock skew.
        mixed_from = job.published_us - 3_600_000_000
        return [(int(day), int(count), micros(latest) >= mixed_from) for day, count, latest in rows]

    def page(
        self, job: Job, ranges: Slice, day: int, mixed: bool, after_key: JournalKey, *, offsets: bool = False
    ) -> tuple[pa.Table, bool]:
        """The next events of an append day after ``after_key``, in key order, and whether they are the last of the
        day.

        ``mixed``: leave out batches that knew the version, which metering has counted. ``offsets``: add the catalog
        offset of each event's batch as a column.
        """
        bind = Binder()
        condition = in_slice(ranges, bind)
        account, us, *position = after_key
        conditions = [_EVENTS, condition, "toYYYYMMDD(append_time) = {day:UInt32}"]
        if after_key != NOWHERE:
            # Redundant beside the full comparison, but the only condition that the primary key can prune by.
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
            "SELECT account_id, timestamp, idempotency_key, properties, generation, partition, offset, `index`, "
            "append_time"
            f" FROM usage_events FINAL WHERE {' AND '.join(conditions).replace('{at}', at)}"
            " ORDER BY namespace, account_id, event_name, timestamp, generation, partition, offset, `index`"
            f" LIMIT {self._size}"
        )
        values = (
            _parameters(job) | bind.parameters | {"day": day, "known": job.known_from, "account": account, "us": us}
        )
        values |= dict(zip("gpoi", position, strict=True))
        if offsets:
            sql = (
                f"SELECT page.*, batches.catalog_offset AS catalog_offset FROM ({sql}) AS page LEFT ANY JOIN ("
                "SELECT generation, partition, offset, catalog_offset FROM usage_batches"
                f" WHERE namespace = {{ns:String}} AND {condition} AND toYYYYMMDD(append_time) = {{day:UInt32}}"
                f") AS batches USING (generation, partition, offset) ORDER BY {_KEY}"
            )
        table: pa.Table = self._journal.run(
            f"read events of {job.name}",
            lambda client: client.query_arrow(sql, parameters=values, use_strings=False),
        )
        ends = table.num_rows < self._size
        self._size = next_size(self._size, table.num_rows, table.nbytes, self._most)
        return table, ends

    def keep(self, progress: PassProgress, now_us: int) -> None:
        """Store the progress; call it only after all records up to it are in backfill_records."""
        account, us, generation, partition, offset, index = progress.key
        row: dict[str, tuple[Any, Any]] = {
            "backfill": (progress.name, pa.string()),
            "from_checkpoint": (progress.from_checkpoint, pa.uint32()),
            "to_checkpoint": (progress.to_checkpoint, pa.uint32()),
            "day": (progress.day, pa.uint32()), "account_id": (account, pa.string()),
            "timestamp": (us, pa.timestamp("us", tz="UTC")),
            "generation": (generation, pa.uint32()), "partition": (partition, pa.uint32()),
            "offset": (offset, pa.uint64()), "index": (index, pa.uint32()),
            "events_read": (progress.events_read, pa.uint64()), "events_total": (progress.events_total, pa.uint64()),
            "records": (progress.records, pa.uint64()), "updated_at": (now_us // 1000, pa.timestamp("ms", tz="UTC")),
        }  # fmt: skip
        self._journal.insert(
            "backfill_progress", pa.table({name: pa.array([value], kind) for name, (value, kind) in row.items()})
        )


def _parameters(job: Job) -> Parameters:
    return {"ns": job.namespace, "name": job.event_name, "start": job.start_us}


def key_of(events: pa.Table) -> JournalKey:
    """The key of the last event of a page that is not empty."""
    (newest,) = events.slice(events.num_rows - 1).to_pylist()
    return (
        newest["account_id"].decode(), micros(newest["timestamp"]), newest["generation"], newest["partition"],
        newest["offset"], newest["index"],
    )  # fmt: skip
