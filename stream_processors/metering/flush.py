"""The flush protocol of the meter agent (DESIGN section 4, invariants 3, 5 and 6).

One unit of records after another: *prepare* (a thread: decode, deduplicate, match, columns) while the unit before it is
being written (*commit*, another thread). Commit's steps, each durable before the next begins:

1. usage_flush (or usage_flush_counted), which stores nothing itself: its views fill usage_events, usage_identities,
   usage_records and duplicate_events, and the insert is answered when all four are durable
2. voids, now that every event before them is durable: usage_voids, voided_events; then conflicts, voids without effect
   and undecodable records to usage.rejected, delivery reported
3. usage_batches
4. usage_progress: the cursor; every row below it is durable now
5. acknowledge to Faust (for lag display only)

A crash between any two leaves the cursor where it was: the successor prepares the same rows again, and they replace
themselves. Any number of owners of a partition may do so at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from schemas.catalog.follower import CatalogFollower
from schemas.errors import CannotGoOn
from schemas.events.rejections import RejectedEvent, rejection_record
from schemas.kafka.errors import RecordRefused
from schemas.kafka.topics import REJECTED
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from stream_processors.metering.breaker import WINDOW, BreakerLimits
from stream_processors.metering.dedupe import PartitionMemory, Record
from stream_processors.metering.due_records import DueRecords
from stream_processors.metering.event_copies import conflict_rejection, contents_of, settle
from stream_processors.metering.flush_tables import batches_table, flush_table, progress_table
from stream_processors.metering.journal import Journal
from stream_processors.metering.meter_records import DuplicateRow, Flush, Matchers, decided_before, meter_records
from stream_processors.metering.metered_topic import MeteredTopic, RawRecord
from stream_processors.metering.retention import horizon
from stream_processors.metering.void_rows import decide_voids, write_voids
from stream_processors.threads import Stopping

log = logging.getLogger(__name__)

FLUSH_ROWS: Final = 500_000
"""Rows of one flush, shared out among its partitions, so that its memory and time are bounded, whatever a namespace
measures of an event; a partition whose share is used up goes on in the next. At least one batch of each is taken."""


class UnitMeter:
    """Prepares and commits units; ``prepare`` from one thread, ``commit`` from another."""

    def __init__(
        self,
        settings: Settings,
        topic: MeteredTopic,
        catalog: CatalogFollower,
        rejected: LedgerWriter,
        stop: threading.Event,
    ) -> None:
        self._generation = settings.generation
        self._topic = topic.name
        self._partitions = topic.partitions
        self._catalog = catalog
        self._matchers = Matchers(catalog.catalog)
        self._rejected = rejected
        self._stop = stop
        self._reading = Journal(settings, stop)
        self._writing = Journal(settings, stop)
        self._memories: dict[int, PartitionMemory] = {}
        self._assignment = 0
        self._built_for = 0
        self._horizon = horizon(catalog.catalog)
        self._horizon_at = -1
        limits = BreakerLimits(settings.poison_percent, settings.poison_minimum)
        self._due = DueRecords(topic, settings.generation, limits, self._matchers, self._await_catalog)
        self._begins: dict[int, int] = {}
        self._undurable: dict[tuple[int, int, int], Record] = {}
        self._durable: dict[int, int] = {}
        self.held = False
        """Nothing is decided while the store of deduplication is known to be incomplete
        (``schemas.clickhouse.damaged_parts``)."""
        self._rejecting_trouble = ""
        self._catalog_trouble = ""
        self.events_counted = 0
        self.events_dropped = 0

    @property
    def trouble(self) -> str:
        """What is being tried again, or waited for; "" for nothing."""
        return self._writing.trouble or self._reading.trouble or self._rejecting_trouble or self._catalog_trouble

    @property
    def answered_at(self) -> float:
        """Monotonic instant of ClickHouse's last answer."""
        return max(self._reading.answered_at, self._writing.answered_at)

    @property
    def failing_since(self) -> float | None:
        """Monotonic instant since when ClickHouse has refused, None while it answers."""
        stuck = [since for since in (self._reading.failing_since, self._writing.failing_since) if since is not None]
        return min(stuck, default=None)

    @property
    def durable(self) -> Mapping[tuple[int, int], int]:
        """(generation, partition) → next offset, as this worker has written it to the journal."""
        return {(self._generation, partition): offset for partition, offset in dict(self._durable).items()}

    def reassigned(self) -> None:
        """Partitions came or went: all memory is built anew, at the cursors as they are then. Any thread."""
        self._assignment += 1

    def begin_at(self, partition: int, offset: int) -> None:
        """The next record of the partition is this one, which lies below the cursor: what was metered is metered again
        (``replay.offsets``)."""
        self._begins[partition] = offset
        memory = self._memories.get(partition)
        if memory is not None and memory.cursor != offset:
            del self._memories[partition]

    def prepare(self, raws: Sequence[RawRecord], in_flight: Future[None] | None) -> Flush:
        """Decide and match one unit. ``in_flight``: the commit under way, awaited where a cursor must be read.

        Raises Stopping, Poisoned.
        """
        while self.held:
            if self._stop.wait(0.5):
                raise Stopping("held")
        flush = Flush()
        assignment = self._assignment
        if assignment != self._built_for:
            _finish(in_flight)
            self._memories.clear()
            self._due.reassigned()
            self._built_for = assignment
        if self._lifted():
            self._memories.clear()
        work: list[tuple[PartitionMemory, list[Record]]] = []
        groups: dict[int, list[RawRecord]] = {}
        for raw in raws:
            groups.setdefault(raw.partition, []).append(raw)
        room = FLUSH_ROWS // max(1, len(groups))
        for partition, group in groups.items():
            memory = self._memories.get(partition)
            if memory is None:
                _finish(in_flight)
                memory = self._memories[partition] = self._remember(partition)
            memory.forget_durable(self._durable.get(partition, 0))
            if records := self._due.take(flush, memory, group, room):
                work.append((memory, records))
        self._await_catalog(
            max((batch_record.batch.catalog_offset for _, records in work for batch_record in records), default=0)
        )
        if self._lifted():
            self._memories.clear()
            return self.prepare(raws, in_flight)
        journal = self._reading.counted([name for memory, records in work for name in memory.suspects(records)])
        for begin in self._begins.values():  # one partition, which is replayed
            journal = decided_before(journal, self._generation, begin)
        doubtful: list[DuplicateRow] = []
        for memory, records in work:
            for record in records:
                self._undurable[(record.generation, record.partition, record.offset)] = record
            windows = [self._matchers.window(item.batch.namespace, item.batch.catalog_offset) for item in records]
            decisions = [
                memory.decide(record, window, journal) for record, window in zip(records, windows, strict=True)
            ]
            doubtful += meter_records(flush, records, decisions, self._matchers)
            flush.progress[memory.generation, memory.partition] = memory.cursor
            memory.filters.drop_before(self._horizon.first_day(records[-1].append_us))
        if doubtful:
            settle(flush, doubtful, contents_of(doubtful, self._undurable, self._reading.contents))
        flush.rejections += [conflict_rejection(row, self._topic) for row in flush.conflicts]
        self.events_counted += flush.events.size
        self.events_dropped += len(flush.duplicates) + len(flush.conflicts)
        return flush

    def commit(self, flush: Flush) -> None:
        """Steps 1 to 4 of the protocol. Nothing is written where a cursor has gone back meanwhile. Raises Stopping."""
        journal = self._writing
        if flush.progress:
            self._following(flush)
            if flush.gone_back:
                self._leave(flush)
                return
        if flush.events.size or flush.duplicates:
            duplicates = flush.duplicates or None
            journal.insert(journal.flush_door(duplicates is not None), flush_table(flush.events, duplicates))
        rejections = flush.rejections
        if flush.voids:
            decided = decide_voids(journal, flush.voids, self._topic)
            # An insert above may have been tried again until a ClickHouse came back that was restored from an older
            # copy. What is inserted is a function of the log, but what a void does was asked of a journal with a hole.
            self._following(flush)
            if flush.gone_back:
                self._leave(flush)
                return
            rejections = rejections + write_voids(journal, flush.voids, decided)
        if rejections:
            self._reject(rejections)
        if flush.records:
            journal.insert("usage_batches", batches_table(flush.records))
        progress = self._following(flush) if flush.progress else {}
        if progress:
            journal.insert("usage_progress", progress_table(progress))
        for (_, partition), offset in progress.items():
            self._durable[partition] = offset
        for record in flush.records:
            self._undurable.pop((record.generation, record.partition, record.offset), None)

    def _leave(self, flush: Flush) -> None:
        """A cursor has gone back: rows beyond a hole would count as the first copies of what is read again, so whatever
        is here comes again."""
        for record in flush.records:
            flush.gaps[record.partition] = min(record.offset, flush.gaps.get(record.partition, record.offset))
            self._undurable.pop((record.generation, record.partition, record.offset), None)

    def _following(self, flush: Flush) -> dict[tuple[int, int], int]:
        progress, back = following(flush, self._writing.run("read the cursors", read_progress))
        for partition, cursor in back.items():
            log.warning("partition %d: the cursor has gone back to %d; reading again from there", partition, cursor)
        if back:
            flush.gone_back = True
            self.reassigned()
        return progress

    def _lifted(self) -> bool:
        """Whether a namespace has lifted its age since the memories were built: they may have dropped days of it."""
        if self._catalog.catalog.next_offset == self._horizon_at:
            return False
        previous_horizon, self._horizon_at = self._horizon, self._catalog.catalog.next_offset
        self._horizon = horizon(self._catalog.catalog)
        return self._horizon.lifted != previous_horizon.lifted

    def _remember(self, partition: int) -> PartitionMemory:
        begin = self._begins.get(partition)
        cursor = self._reading.cursor(self._generation, partition) if begin is None else begin
        appended = self._reading.appended_before(self._generation, partition, cursor)
        first_day = None if appended is None else self._horizon.first_day(appended)
        filters = self._reading.filters(partition, self._partitions, self._horizon.lifted, first_day)
        history = self._reading.poison(self._generation, partition, cursor, WINDOW)
        self._due.begin(partition, history)
        log.info("partition %d: cursor %d, %d identities in the filters", partition, cursor, filters.size)
        return PartitionMemory(self._generation, partition, cursor, filters)

    def _await_catalog(self, offset: int) -> None:
        while not self._catalog.wait_for(offset, 1.0):
            self._catalog_trouble = f"waiting for usage.catalog to reach offset {offset}, which the log's batches name"
            log.warning(self._catalog_trouble)
            if self._stop.is_set():
                raise Stopping("catalog")
        self._catalog_trouble = ""

    def _reject(self, rejections: Sequence[RejectedEvent]) -> None:
        while True:
            limit = self._rejected.limit
            records = [(rejected.account_id.encode(), rejection_record(rejected, limit)) for rejected in rejections]
            try:
                self._rejected.append_all(records)
                self._rejecting_trouble = ""
                return
            except LedgerUnavailable as error:
                log.warning("%s; trying again", error)
                self._rejecting_trouble = str(error)
                if self._stop.wait(1.0):
                    raise Stopping("reject") from error
            except RecordRefused as error:
                if self._rejected.limit < limit:  # the topic takes less than the settings say: so less is kept
                    continue
                raise CannotGoOn(
                    f"{error}; raise max.message.bytes of {REJECTED}, or lower WEIR_KAFKA_RECORD_BYTES"
                ) from error


def _finish(in_flight: Future[None] | None) -> None:
    if in_flight is not None:
        in_flight.result()


def following(
    flush: Flush, cursors: Mapping[tuple[int, int], int]
) -> tuple[dict[tuple[int, int], int], dict[int, int]]:
    """The progress entries that continue the stored cursors, and the cursors (by partition) that have gone back.

    A ClickHouse that was restored, or a replica that lost acknowledged rows, may have a cursor below the flush's
    first record. Advancing it would leave a permanent hole, so nothing of that partition is acknowledged (``gaps``)
    and it is read again from the cursor.
    """
    begins: dict[tuple[int, int], int] = {}
    for record in flush.records:
        begins.setdefault((record.generation, record.partition), record.offset)
    behind = {key: cursors.get(key, 0) for key, begin in begins.items() if cursors.get(key, 0) < begin}
    for key in behind:
        flush.gaps[key[1]] = min(begins[key], flush.gaps.get(key[1], begins[key]))
    progress = {key: offset for key, offset in flush.progress.items() if key not in behind}
    return progress, {partition: cursor for (_, partition), cursor in behind.items()}
