"""The journal: all reads and writes of metering data in ClickHouse. One instance per thread."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, TypeVar

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.client import Parameters, connect
from schemas.clickhouse.errors import GIVE_UP_SECONDS, explained, meaning
from schemas.clickhouse.positions import PositionRange, at_events, at_record, in_partition, in_range, in_records
from schemas.errors import CannotGoOn
from schemas.events.identity import IDENTITY_BYTES, hash_range
from schemas.settings import Settings
from schemas.values.instants import micros
from stream_processors.metering.bloom import FOREVER, DailyFilters, keys_of
from stream_processors.metering.dedupe import Counted
from stream_processors.threads import Stopping

log = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LOOK_UP: Final = 2_000
_FILTER_BLOCK: Final = IDENTITY_BYTES << 20
COUNTED_FLUSHES: Final = 70
"""The migration that makes usage_flush_counted and its views."""


def arrow_bytes(rows: pa.Table) -> bytes:
    """Serialise a table as an Arrow stream, as ``INSERT … FORMAT ArrowStream`` expects it."""
    sink = io.BytesIO()  # gives its bytes without another copy of the flush, which Arrow's own sink does not
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


class Journal:
    """ClickHouse client of a worker. Every call is retried until ClickHouse answers, so a failed lookup blocks
    instead of being guessed.

    Calls raise Stopping once ``stop`` is set, and CannotGoOn for an error that persists and that retries cannot fix
    (``schemas.clickhouse.errors``). ``trouble``: the error being retried, "" while ClickHouse answers. ``answered_at``:
    monotonic instant of its last answer.
    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._client: Client | None = None
        self.failing_since: float | None = None
        self.trouble = ""
        self.answered_at = float("-inf")
        self._counted_door = False
        self.outages = 0
        """How often ClickHouse was away and answered again: it may have been restored from a copy meanwhile."""

    def _retry(self, what: str, call: Callable[[Client], T]) -> T:
        pause = _FIRST_PAUSE
        hopeless_since: float | None = None
        while True:
            try:
                if self._client is None:
                    self._client = connect(self._settings, timeout_seconds=120)
                result = call(self._client)
                self.answered_at = time.monotonic()
                if self.failing_since is not None:
                    log.warning(
                        "%s: ClickHouse answers again after %.1f s", what, time.monotonic() - self.failing_since
                    )
                    self.failing_since = None
                    self.trouble = ""
                    self.outages += 1
                return result
            except (ClickHouseError, HTTPError, OSError) as error:
                if self.failing_since is None:
                    self.failing_since = time.monotonic()
                self.trouble = f"{what}: {explained(error)}"
                log.warning("%s; trying again in %.1f s", self.trouble, pause)
                if meaning(error) == "may pass":
                    hopeless_since = None
                elif hopeless_since is None:
                    hopeless_since = time.monotonic()
                elif time.monotonic() - hopeless_since > GIVE_UP_SECONDS:
                    raise CannotGoOn(self.trouble) from error
                # A client that failed may hold a partial response; reconnecting costs one round trip.
                self._client = None
            if self._stop.wait(pause):
                raise Stopping(what)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert an Arrow table. Returns once it and its materialised views are durable; repeating the call is
        harmless."""
        if rows.num_rows == 0:
            return
        block = arrow_bytes(rows)
        names = [f"`{name}`" for name in rows.column_names]
        self._retry(
            f"insert {rows.num_rows} rows into {table}",
            lambda client: client.raw_insert(table, names, block, fmt="ArrowStream"),
        )

    def command(self, what: str, sql: str, parameters: Parameters) -> None:
        """Execute a statement that is safe to repeat."""
        self._retry(what, lambda client: client.command(sql, parameters=parameters))

    def query(self, what: str, sql: str, parameters: Parameters | None = None) -> Sequence[Sequence[Any]]:
        """Rows of a query."""
        return self._retry(what, lambda client: client.query(sql, parameters=parameters).result_rows)

    def flush_door(self, duplicates: bool) -> str:
        """The table by which the events of a flush are written: the cheaper one where it holds no ``duplicates``, once
        all of its views are made. An insert before that would be answered, and be lost."""
        if not duplicates and not self._counted_door:
            sql = "SELECT count() FROM schema_migrations WHERE number = {n:UInt32}"
            self._counted_door = bool(self.query("look for a migration", sql, {"n": COUNTED_FLUSHES})[0][0])
        return "usage_flush_counted" if self._counted_door and not duplicates else "usage_flush"

    def run(self, what: str, call: Callable[[Client], T]) -> T:
        """Call ``call`` with the client, retrying it as a whole; for reads."""
        return self._retry(what, call)

    def cursor(self, generation: int, partition: int) -> int:
        """The next offset of a partition; all rows of offsets below it are durable. 0 if there is none."""
        bind = Binder()
        rows = self.query(
            "read the cursor",
            f"SELECT max(next_offset) FROM usage_progress WHERE {in_partition(generation, partition, bind)}",
            bind.parameters,
        )
        return int(rows[0][0])

    def poison(self, generation: int, partition: int, cursor: int, records: int) -> list[bool]:
        """For each of the last ``records`` records below the cursor, oldest first: whether it could not be decoded."""
        bind = Binder()
        last_records = PositionRange(generation, partition, max(0, cursor - records), cursor)
        rows = self.query(
            "read the last records",
            f"SELECT events = 0 AND namespace = '' FROM usage_batches FINAL WHERE {in_range(last_records, bind)}"
            " ORDER BY offset",
            bind.parameters,
        )
        return [bool(row[0]) for row in rows]

    def filters(
        self, partition: int, partitions: int, lifted: Collection[str] = (), first_day: int | None = None
    ) -> DailyFilters:
        """Bloom filters, by append day, over the identities in the partition's range of the hash space, of all
        generations.

        They include all identities of the namespaces in ``lifted`` (no maximum event age), and of others those
        appended on ``first_day`` (days since 1970, None = all) or later.
        """
        low, high = hash_range(partition, partitions)
        condition = f"identity >= unhex('{(low + bytes(12)).hex()}')"
        if high is not None:
            condition += f" AND identity < unhex('{(high + bytes(12)).hex()}')"
        # Identities stored by releases that had no namespace column have an empty namespace.
        ours = {"lifted": ["", *lifted]}

        def build(client: Client) -> DailyFilters:
            result = DailyFilters()
            days = client.query(
                "SELECT toUInt32(toDate(append_time, 'UTC')) AS day, has({lifted:Array(String)}, "
                "toString(namespace)) AS kept,"
                f" count() FROM usage_identities WHERE {condition} GROUP BY day, kept ORDER BY day",
                parameters=ours,
            ).result_rows
            for day, count, _ in days:
                if not count and first_day is not None and day < first_day:
                    continue
                sql = (
                    f"SELECT identity FROM usage_identities WHERE {condition} AND toDate(append_time, 'UTC') = "
                    f"toDate({day})"
                    f" AND has({{lifted:Array(String)}}, toString(namespace)) = {int(count)}"
                )
                with client.raw_stream(sql, parameters=ours, fmt="RowBinary") as stream:
                    remainder = b""
                    while block := stream.read(_FILTER_BLOCK):
                        block = remainder + block
                        complete = len(block) - len(block) % IDENTITY_BYTES
                        remainder = block[complete:]
                        result.add(FOREVER if count else int(day), keys_of(block[:complete]))
            return result

        return self._retry(f"build the filters of partition {partition}", build)

    def appended_before(self, generation: int, partition: int, cursor: int) -> int | None:
        """Append time (microseconds UTC) of the record just below the cursor; None if there is none."""
        bind = Binder()
        position = (generation, partition, max(0, cursor - 1))
        rows = self.query(
            "read the append time at the cursor",
            f"SELECT append_time FROM usage_batches WHERE {at_record(position, bind)} LIMIT 1",
            bind.parameters,
        )
        return micros(rows[0][0]) if cursor and rows else None

    def counted(self, identities: Sequence[bytes]) -> dict[bytes, list[Counted]]:
        """All counted copies of the identities, read in chunks because ClickHouse limits a query parameter to 128
        KiB."""
        copies: dict[bytes, list[Counted]] = {}
        for start in range(0, len(identities), _LOOK_UP):
            part = identities[start : start + _LOOK_UP]
            rows = self.query(
                f"look up {len(part)} identities",
                "SELECT identity, generation, partition, offset, `index`, append_time, content_hash FROM "
                "usage_identities "
                "WHERE identity IN (SELECT CAST(unhex(arrayJoin({ids:Array(String)})) AS FixedString(16)))",
                {"ids": [identity.hex() for identity in part]},
            )
            for identity, generation, partition, offset, index, append_time, content_hash in rows:
                copy = Counted(generation, partition, offset, index, micros(append_time), content_hash)
                copies.setdefault(identity, []).append(copy)
        return copies

    def contents(
        self, positions: Sequence[tuple[int, int, int, int]]
    ) -> dict[tuple[int, int, int, int], tuple[str, str, str]]:
        """(event_name, account_id, properties) of counted events by position, for the comparison of possible
        conflicts."""
        contents: dict[tuple[int, int, int, int], tuple[str, str, str]] = {}
        for start in range(0, len(positions), _LOOK_UP):
            part = positions[start : start + _LOOK_UP]
            bind = Binder()
            batches = in_records(sorted({position[:3] for position in part}), bind)
            rows = self.query(
                f"read {len(part)} events to compare",
                "SELECT generation, partition, offset, `index`, event_name, account_id, properties FROM usage_events "
                # No table is sorted by position; the append times of the batches prune the other days' partitions.
                f"WHERE {at_events(part, bind)} AND append_time IN (SELECT append_time FROM usage_batches WHERE "
                f"{batches})",
                bind.parameters,
            )
            contents |= {(row[0], row[1], row[2], row[3]): (row[4], row[5], row[6]) for row in rows}
        return contents
