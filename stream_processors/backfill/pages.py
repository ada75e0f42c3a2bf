"""What a backfill reads: counted events page by page in the order of the journal's key, and how far it has got. One
instance a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from schemas.catalog.backfill_jobs import Job
from schemas.clickhouse.client import Parameters
from schemas.values.instants import micros
from stream_processors.metering.journal import Journal
from stream_processors.rollup.slices import Slice, slice_sql

DONE: Final = 99_999_999
_KEY: Final = "account_id, timestamp, generation, partition, offset, `index`"
_EVENTS: Final = (
    "namespace = {ns:String} AND event_name = {name:String} AND timestamp >= "
    "fromUnixTimestamp64Micro({start:Int64}, 'UTC')"
)

Key = tuple[str, int, int, int, int, int]
"""Account, timestamp (microseconds), position: the journal's order within an append day and event name."""
NOWHERE: Final[Key] = ("", 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one pass over the events between two checkpoints has got: day by day of their append, page by page up to
    ``key``.
    ``name``: of the backfill and its part."""

    name: str
    from_checkpoint: int
    to_checkpoint: int
    day: int = 0
    key: Key = NOWHERE
    events_read: int = 0
    events_total: int = 0
    records: int = 0


_FIRST_PAGE: Final = 2_000
_PAGE_BYTES: Final = 64 * 1024 * 1024


def next_size(size: int, events: int, size_bytes: int, most: int) -> int:
    """Events of the page after one of ``size``, which had ``events`` in ``size_bytes``: so many that they are about 64
    MiB, never more than ``most``; at most ten times as many at once, since those that follow may be larger."""
    if not events:
        return size
    return max(1, min(most, size * 10, _PAGE_BYTES * events // max(size_bytes, 1)))


class Pages:
    """Asks ClickHouse; ``most``: events of a page, fewer where they are large."""

    def __init__(self, journal: Journal, most: int) -> None:
        self._journal = journal
        self._most = most
        self._size = min(most, _FIRST_PAGE)

    def stand(self, name: str, from_checkpoint: int) -> Progress:
        """The pass that is furthest; where there is none, one that is done up to ``from_checkpoint``."""
        rows = self._journal.query(
            "read the backfill's progress",
            "SELECT from_checkpoint, to_checkpoint, day, account_id, toUnixTimestamp64Micro(timestamp), generation, "
            "partition, offset,"
            " `index`, events_read, events_total, records FROM backfill_progress FINAL WHERE backfill = {name:String}"
            " ORDER BY to_checkpoint DESC, day DESC, events_read DESC LIMIT 1",
            {"name": name},
        )
        if not rows:
            return Progress(name, from_checkpoint, from_checkpoint, DONE)
        start, end, day, account, us, generation, partition, offset, index, read, total, records = rows[0]
        key = (str(account), int(us), int(generation), int(partition), int(offset), int(index))
        return Progress(name, int(start), int(end), int(day), key, int(read), int(total), int(records))

    def days(self, job: Job, ranges: Slice) -> list[tuple[int, int, bool]]:
        """(append day, events, whether some batches of it knew the version) of what is to be read, ascending."""
        condition, parameters = slice_sql(ranges)
        rows = self._journal.query(
            f"count the events of {job.name}",
            f"SELECT toYYYYMMDD(append_time) AS day, count(), max(append_time) FROM usage_events WHERE {_EVENTS} AND "
            f"{condition}"
            " GROUP BY day ORDER BY day",
            parameters | _parameters(job),
        )
        # A batch that knew the version was appended after it was published, but for clocks of brokers.
        mixed_from = job.published_us - 3_600_000_000
        return [(int(day), int(count), micros(latest) >= mixed_from) for day, count, latest in rows]

    def page(
        self, job: Job, ranges: Slice, day: int, mixed: bool, after_key: Key, *, offsets: bool = False
    ) -> tuple[pa.Table, bool]:
        """The next events after ``after_key`` of an append day, in order of their keys; whether they are the last.
        ``offsets``: with the catalog offset of each one's batch."""
        condition, parameters = slice_sql(ranges)
        account, us, *position = after_key
        conditions = [_EVENTS, condition, "toYYYYMMDD(append_time) = {day:UInt32}"]
        if after_key != NOWHERE:
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
            "SELECT account_id, timestamp, idempotency_key, properties, generation, partition, offset, `index`, "
            "append_time"
            f" FROM usage_events FINAL WHERE {' AND '.join(conditions).replace('{at}', at)}"
            " ORDER BY namespace, account_id, event_name, timestamp, generation, partition, offset, `index`"
            f" LIMIT {self._size}"
        )
        values = _parameters(job) | parameters | {"day": day, "known": job.known_from, "account": account, "us": us}
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

    def keep(self, progress: Progress, now_us: int) -> None:
        """Written once every record up to it is in backfill_records."""
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


def key_of(events: pa.Table) -> Key:
    """The key of a page's last event."""
    (newest,) = events.slice(events.num_rows - 1).to_pylist()
    return (
        newest["account_id"].decode(), micros(newest["timestamp"]), newest["generation"], newest["partition"],
        newest["offset"], newest["index"],
    )  # fmt: skip
