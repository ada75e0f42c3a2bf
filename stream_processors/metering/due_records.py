"""The records of a unit that are due: they follow their partition's cursor, in order, as many as a flush holds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from schemas.events.batch import EMPTY, UsageBatch, decode_batch
from schemas.events.rejections import Origin, RejectedEvent, derived_id
from schemas.events.voids import EventVoid, decode_void, is_void
from schemas.kafka.codec import CodecError
from stream_processors.metering.breaker import Breaker, BreakerLimits
from stream_processors.metering.dedupe import PartitionMemory, Record
from stream_processors.metering.meter_records import Flush, Matchers
from stream_processors.metering.metered_topic import MeteredTopic, RawRecord
from stream_processors.metering.settle_voids import void_batch

log = logging.getLogger(__name__)

SEEK_AGAIN_SECONDS: Final = 5.0


class DueRecords:
    """Takes from each partition's records those that are due, and makes the consumer seek back where one is missing.
    ``await_catalog`` waits until the catalog has reached an offset. For one thread."""

    def __init__(
        self,
        topic: MeteredTopic,
        generation: int,
        limits: BreakerLimits,
        matchers: Matchers,
        await_catalog: Callable[[int], None],
    ) -> None:
        self._topic = topic.name
        self._seek = topic.seek
        self._log_start = topic.log_start
        self._generation = generation
        self._limits = limits
        self._matchers = matchers
        self._await_catalog = await_catalog
        self._sought: dict[int, tuple[int, float]] = {}
        self._breakers: dict[int, Breaker] = {}

    def reassigned(self) -> None:
        """Partitions came or went: a missing record is sought anew."""
        self._sought.clear()

    def begin(self, partition: int, history: Iterable[bool]) -> None:
        """The partition is taken from its cursor on. ``history``: of the records below, whether each was poison."""
        self._breakers[partition] = Breaker(self._limits, history)

    def take(self, flush: Flush, memory: PartitionMemory, group: Sequence[RawRecord], room: int) -> list[Record]:
        """Those of ``group`` that follow the memory's cursor without a gap, decoded, up to ``room`` rows; what is not
        taken is noted in ``flush`` (``gaps``, ``left``). Raises Poisoned."""
        rows = 0
        records: list[Record] = []
        expected = memory.cursor
        breaker = self._breakers.setdefault(memory.partition, Breaker(self._limits))
        for raw in group:
            if raw.offset < expected:
                continue
            if raw.offset > expected:
                flush.gaps[memory.partition] = expected
                self._gap(memory.partition, expected, raw.offset)
                break
            try:
                record, most = self._decoded(raw)
                rows += most
                if rows > room and records:
                    flush.left[memory.partition] = expected
                    break
                breaker.see(False)
            except CodecError as error:
                if breaker.see(True):
                    position = f"{self._topic} partition {raw.partition} offset {raw.offset}"
                    raise breaker.verdict(position, str(error)) from None
                log.warning("partition %d offset %d: %s; rejected", raw.partition, raw.offset, error)
                record = self._record(raw, EMPTY)
                flush.rejections.append(undecodable_rejection(self._topic, self._generation, raw, str(error)))
            records.append(record)
            expected += 1
        if records:
            self._sought.pop(memory.partition, None)
        return records

    def _record(self, raw: RawRecord, batch: UsageBatch, void: EventVoid | None = None) -> Record:
        return Record(self._generation, raw.partition, raw.offset, raw.append_us, batch, void)

    def _decoded(self, raw: RawRecord) -> tuple[Record, int]:
        """A record, and the rows that it may give at most: its events, and a record of each for each profile version
        that looks at its name. Raises CodecError."""
        if is_void(raw.value):
            void = decode_void(raw.value)
            return self._record(raw, void_batch(void.namespace), void), 0
        # Nothing at all: whether a sealed generation takes records was tried out, and it did.
        batch = decode_batch(raw.value) if raw.value else EMPTY
        record = self._record(raw, batch)
        if not batch.size or not batch.names:
            return record, 0
        self._await_catalog(batch.catalog_offset)
        matcher = self._matchers.at(batch.namespace, batch.catalog_offset, batch.rounds)
        counts: list[int] = np.bincount(batch.name_indexes, minlength=len(batch.names)).tolist()
        rows = batch.size + sum(count * matcher.rules(name) for count, name in zip(counts, batch.names, strict=False))
        return record, rows

    def _gap(self, partition: int, cursor: int, offset: int) -> None:
        sought, at = self._sought.get(partition, (-1, float("-inf")))
        if sought != cursor or time.monotonic() - at > SEEK_AGAIN_SECONDS:
            start = self._log_start(partition)
            if start > cursor:
                # Held, and not ended: other partitions go on, and so does this one once somebody gives the lost records
                # up.
                log.error(
                    "%s partition %d begins at offset %d, but only what lies below %d is metered; `weir "
                    "status` says what to do",
                    self._topic,
                    partition,
                    start,
                    cursor,
                )
            else:
                log.warning("partition %d: record %d is above the cursor %d; seeking back", partition, offset, cursor)
            self._sought[partition] = (cursor, time.monotonic())
            self._seek(partition, cursor)


def undecodable_rejection(topic: str, generation: int, raw: RawRecord, why: str) -> RejectedEvent:
    """The rejection of a record of usage.events that is not a packed batch. It counts as zero events in the books."""
    return RejectedEvent(
        namespace="",
        stage="meter",
        reason="undecodable",
        detail=why[:500],
        events=0,
        original=raw.value,
        received_at=raw.append_us,
        rejection_id=derived_id(topic, raw.partition, raw.offset, 0),
        origin=Origin(topic, generation, raw.partition, raw.offset),
    )
