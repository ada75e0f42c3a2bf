"""Meters a range of offsets again (`weir replay`). Rows are a function of the log, so existing rows are replaced by
equal ones, missing rows reappear, and rows that should not exist are deleted.

A replay may be repeated, interrupted at any point, and run beside workers: it never goes beyond the cursor.
Deduplication uses the stored identities below the range, as a worker's does; therefore, if several ranges of a
partition are damaged, replay the lowest first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.catalog.follower import CatalogFollower
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import PositionRange, in_range
from schemas.clickhouse.replays import ANOTHER_REPLAY_SQL
from schemas.errors import WeirError
from schemas.kafka.topics import REJECTED, events_topic, partition_count
from schemas.ledgers.checkpoints import Checkpoints, read_progress
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.values.instants import rfc3339
from stream_processors.backfill.staging import Staging
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.flush_tables import flush_table
from stream_processors.metering.journal import Journal
from stream_processors.metering.meter_records import Flush
from stream_processors.metering.metered_topic import MeteredTopic, RawRecord
from stream_processors.replay.void_removal import remove_wrong_voids
from stream_processors.rollup.roll_up import RollUp

log = logging.getLogger(__name__)

UNIT_RECORDS: Final = 256
UNIT_BYTES: Final = 6 * 1024 * 1024
_TABLES: Final = ("usage_events", "usage_identities", "usage_records")
_AT: Final = "(offset, `index`)"
_RECORD_AT: Final = "(offset, `index`, toString(profile_id), profile_version)"
RowPlace = tuple[Any, ...]
OnProgress = Callable[[str, int, int], None]


class ReplayError(WeirError):
    """The offsets cannot be replayed; the message states the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class RowsReplayed:
    """Counts of a replay. ``removed``: deleted rows that a correct pass would not write; ``checkpoints``: numbers
    of the checkpoints whose windows were rolled up again."""

    records: int
    events: int
    duplicates: int
    removed: int
    checkpoints: Sequence[int]


class Remeter:
    """Replays ranges of one generation on a running stack. Use it from one thread, and close it."""

    def __init__(self, settings: Settings, generation: int) -> None:
        # Poison that an operator let pass must not stop the replay.
        self._settings = settings = settings.model_copy(update={"generation": generation, "poison_percent": 100})
        self._topic = events_topic(generation)
        self._stop = threading.Event()
        self._journal = Journal(settings, self._stop)
        self._catalog = CatalogFollower(settings).start()
        self._rollup = RollUp(
            settings, self._catalog, self._stop, Staging(settings, self._catalog, self._stop).complete
        )
        self._partitions = partition_count(settings, self._topic)
        metered_topic = MeteredTopic(
            name=self._topic,
            partitions=self._partitions,
            seek=lambda partition, cursor: None,
            log_start=lambda partition: 0,
        )
        self._meter = UnitMeter(settings, metered_topic, self._catalog, LedgerWriter(settings, REJECTED), self._stop)

    def close(self) -> None:
        """Stop retries and leave Kafka."""
        self._stop.set()
        self._catalog.stop()

    def replay(
        self, partition: int, start: int, end: int | None, on_progress: OnProgress = lambda *_: None
    ) -> RowsReplayed:
        """Meter offsets [start, end) of a partition again; ``end`` None: up to the cursor.

        Raises ReplayError, LedgerUnavailable, KafkaException.
        """
        generation = self._settings.generation
        cursor = self._journal.run("read the cursors", read_progress).get((generation, partition), 0)
        stop = cursor if end is None else end
        if not 0 <= partition < self._partitions:
            raise ReplayError(
                f"{self._topic} has partitions 0 to {self._partitions - 1}; there is no partition {partition}"
            )
        if not 0 <= start < stop:
            raise ReplayError(
                f"from {start} to {stop} is no range of offsets; the cursor of partition {partition} is {cursor}"
            )
        if stop > cursor:
            raise ReplayError(
                f"only what lies below the cursor, {cursor}, was metered; what lies above it a worker meters"
            )
        low, high = self._bounds(partition)
        if start < low or stop > high:
            raise ReplayError(
                f"{self._topic} partition {partition} has the offsets {low} to {high - 1} only; replay those with "
                "--from and --to, and"
                f" give up by name what is gone: `weir log give-up --generation {generation} --partition {partition} "
                "--from … --to …`"
            )
        done = events = duplicates = removed = 0
        for unit in self._units(partition, start, stop):
            self._confirm_metered(partition, unit)
            left = unit
            while left:
                self._meter.begin_at(partition, left[0].offset)
                flush = self._meter.prepare(left, None)
                part, left = parted(left, flush)
                # Before the commit, so that voids are decided only by copies that really count.
                removed += self._remove_others(partition, part, flush)
                self._meter.commit(flush)
                events, duplicates = events + flush.events.size, duplicates + len(flush.duplicates)
                done += len(part)
                on_progress("replaying", done, stop - start)
        numbers = self._roll_up(partition, start, stop, removed > 0)
        # A roll-up begins an epoch; without one, whoever holds what was measured would not see that it is another now.
        self._journal.command("say that there was a replay", ANOTHER_REPLAY_SQL, {})
        return RowsReplayed(done, events, duplicates, removed, numbers)

    def _confirm_metered(self, partition: int, unit: Sequence[RawRecord]) -> None:
        """Raises ReplayError where the log has another record at an offset than the one that was metered there: what
        was acknowledged and counted would be replaced by it."""
        bind = Binder()
        offsets = PositionRange(self._settings.generation, partition, unit[0].offset, unit[-1].offset + 1)
        rows = self._journal.query(
            "read when records were appended",
            "SELECT offset, toUnixTimestamp64Milli(append_time) FROM usage_batches FINAL"
            f" WHERE {in_range(offsets, bind)}",
            bind.parameters,
        )
        if (raw := first_other(unit, {int(offset): int(ms) for offset, ms in rows})) is not None:
            raise ReplayError(
                f"{self._topic} partition {partition} has another record at offset {raw.offset}, appended "
                f"{rfc3339(raw.append_us)}, than the one that was metered there: the log lost its end or is new; "
                "nothing is replayed from there on; `weir generation recover` carries over what was never metered"
            )

    def _units(self, partition: int, start: int, end: int) -> Iterator[list[RawRecord]]:
        unit: list[RawRecord] = []
        size = 0
        with LedgerReader(self._settings, self._topic, begin={partition: start}) as reader:
            for record in reader.read_to({partition: end}):
                if not start <= record.offset < end:
                    continue
                if unit and (len(unit) >= UNIT_RECORDS or size + len(record.value) > UNIT_BYTES):
                    yield unit
                    unit, size = [], 0
                unit.append(RawRecord(partition, record.offset, record.append_us, record.value))
                size += len(record.value)
        if unit:
            yield unit

    def _remove_others(self, partition: int, unit: Sequence[RawRecord], flush: Flush) -> int:
        """Delete rows at the unit's positions that a single pass over the log would not have written; returns how
        many."""
        counted, recorded = rows_of(flush)
        dropped: set[RowPlace] = {(row.record.offset, row.dropped.index) for row in flush.duplicates}
        at = "Tuple(UInt64, UInt32)"
        offsets = PositionRange(self._settings.generation, partition, unit[0].offset, unit[-1].offset + 1)
        times = [raw.append_us // 1000 for raw in unit]
        bind = Binder({"from": min(times), "to": max(times)})
        in_unit = in_range(offsets, bind)
        removed = 0
        for name, position, kind, right in (
            *((name, _AT, at, counted) for name in _TABLES),
            ("usage_records", _RECORD_AT, "Tuple(UInt64, UInt32, String, UInt32)", recorded),
            ("duplicate_events", _AT, at, dropped),
        ):
            where = in_unit
            if position is _RECORD_AT:  # a backfill's records of counted events are not the meter's to delete
                where += " AND checkpoint = 0"
            # No table is sorted by position; the append times prune the other days' partitions.
            where += (
                " AND append_time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND append_time <= "
                "fromUnixTimestamp64Milli({to:Int64}, 'UTC')"
            )
            rows = self._journal.query(
                f"look at {name}", f"SELECT DISTINCT {position} FROM {name} WHERE {where}", bind.parameters
            )
            wrong = sorted({tuple(row[0]) for row in rows} - right)
            for start in range(0, len(wrong), 1000):
                self._journal.command(
                    f"delete rows of {name} that no single pass writes",
                    f"DELETE FROM {name} WHERE {where} AND {position} IN (SELECT arrayJoin({{at:Array({kind})}}))",
                    bind.parameters | {"at": wrong[start : start + 1000]},
                )
            removed += len(wrong)
        return removed + remove_wrong_voids(self._journal, offsets, flush.voids)

    def _roll_up(self, partition: int, start: int, end: int, afresh: bool) -> list[int]:
        """Roll up again the checkpoints that contain the range. ``afresh``: delete their windows first."""
        checkpoints = self._rollup.checkpoints()
        numbers = holding(checkpoints, self._settings.generation, partition, start, end)
        if numbers:  # else no window or fold has anything of the range
            self._rollup.again(numbers, afresh=afresh)
        return numbers

    def _bounds(self, partition: int) -> tuple[int, int]:
        consumer = Consumer(
            self._settings.librdkafka() | {"group.id": "weir-watermarks", "enable.auto.commit": False, "log_level": 2}
        )
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=10)
        except KafkaException as error:
            raise ReplayError(f"{self._topic} partition {partition}: {error}") from error
        finally:
            consumer.close()
        return int(low), int(high)


def first_other(unit: Sequence[RawRecord], appended_ms: Mapping[int, int]) -> RawRecord | None:
    """The first record of the log that is not the one that was metered at its offset. ``appended_ms``: offset → append
    time of the metered ones; what is not there is to be metered."""
    return next(
        (raw for raw in unit if appended_ms.get(raw.offset, raw.append_us // 1000) != raw.append_us // 1000), None
    )


def parted(unit: list[RawRecord], flush: Flush) -> tuple[list[RawRecord], list[RawRecord]]:
    """Split a unit of one partition into the records that the flush contains and those left for the next one.

    A flush contains a limited number of rows (``flush.FLUSH_ROWS``) and ends before a gap in the log's offsets.
    """
    ends = [*flush.left.values(), *flush.gaps.values()]
    if not ends:
        return unit, []
    left_from = min(ends)
    return [raw for raw in unit if raw.offset < left_from], [raw for raw in unit if raw.offset >= left_from]


def rows_of(flush: Flush) -> tuple[set[RowPlace], set[RowPlace]]:
    """The flush's events as (offset, index), and their records as (offset, index, profile, version)."""
    if not flush.events.size:
        return set(), set()
    table = flush_table(flush.events)
    places = list(zip(table["offset"].to_pylist(), table["index"].to_pylist(), strict=True))
    matches = zip(
        places, table["match_profile_ids"].to_pylist(), table["match_profile_versions"].to_pylist(), strict=True
    )
    return set(places), {
        (*position, profile, version)
        for position, profiles, versions in matches
        for profile, version in zip(profiles, versions, strict=True)
    }


def holding(checkpoints: Checkpoints, generation: int, partition: int, start: int, end: int) -> list[int]:
    """Numbers of the checkpoints whose slices overlap offsets [start, end) of a partition."""
    numbers = []
    for cut in checkpoints.cuts:
        low, high = checkpoints.slice(cut.number).get((generation, partition), (0, 0))
        if max(low, start) < min(high, end):
            numbers.append(cut.number)
    return numbers
