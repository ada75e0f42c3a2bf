"""Turns records of usage.events into the contents of one flush: decode → deduplicate → match → rows.

Everything here is a function of the log, of the catalog at each batch's offset, and of what the journal contains
below the cursor. A replay therefore produces the same rows (DESIGN invariant 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from schemas.catalog.profiles import KINDS, profile_versions
from schemas.catalog.state import Catalog
from schemas.events.acceptance import same_content
from schemas.events.event_types import event_types
from schemas.events.rejections import Origin, RejectedEvent, derived_id
from schemas.matching.columns import ColumnMatcher
from stream_processors.metering.by_event_name import EventsByName
from stream_processors.metering.dedupe import Counted, Drops, PartitionMemory, Place, Record, window_us
from stream_processors.metering.flush_tables import DuplicateRow, Duplicates, EventColumns
from stream_processors.metering.metered_topic import RawRecord

_MADE_OF: Final = (*KINDS, "event_type")
CopyPosition = tuple[int, int, int, int]
EventContent = tuple[str, str, str]


@dataclass(slots=True)
class Flush:
    """Everything that one flush writes.

    ``progress``: (generation, partition) → next offset. ``gaps``: partition → offset below which its records may be
    acknowledged; those from there on do not follow the cursor and must be read again. ``voids``: in log order
    within a partition. ``gone_back``: a cursor was found below the flush's records, so the unit must be read again.
    ``left``: partition → first offset that was left for the next flush.
    """

    events: EventColumns = field(default_factory=EventColumns)
    duplicates: Duplicates = field(default_factory=Duplicates)
    conflicts: list[DuplicateRow] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    rejections: list[RejectedEvent] = field(default_factory=list)
    voids: list[Record] = field(default_factory=list)
    progress: dict[tuple[int, int], int] = field(default_factory=dict)
    gaps: dict[int, int] = field(default_factory=dict)
    gone_back: bool = False
    left: dict[int, int] = field(default_factory=dict)

    def table(self) -> pa.Table:
        """The Arrow table of usage_flush."""
        return self.events.table(self.duplicates)


class Matchers:
    """Compiled matchers by namespace and catalog offset."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def at(self, namespace: str, catalog_offset: int, rounds: bool = True) -> tuple[ColumnMatcher, int | None]:
        """The matcher and the deduplication window W (microseconds, None = unlimited) for a batch.

        ``rounds``: whether the batch's writer rounds numbers to 12 decimals (``UsageBatch.rounds``). The same
        matcher is returned as long as no meter and no event type changes; other catalog entries do not affect it.
        """
        view = self._catalog.view(namespace, catalog_offset)
        settings = view.settings
        window = window_us(settings.max_event_age_seconds, settings.max_event_skew_seconds)

        def make() -> tuple[ColumnMatcher, int]:
            matcher = ColumnMatcher(profile_versions(view), event_types(view).defaults, exactly=not rounds)
            return matcher, matcher.weight

        return view.derived("matcher" if rounds else "exact matcher", _MADE_OF, make), window


def meter_records(
    flush: Flush,
    memory: PartitionMemory,
    records: Sequence[Record],
    matchers: Matchers,
    journal: Mapping[bytes, Sequence[Counted]],
) -> list[DuplicateRow]:
    """Deduplicate and match consecutive records of one partition, starting at the memory's cursor, and add the
    results to ``flush``.

    ``journal``: counted copies found for the memory's suspects. Returns the dropped events whose content hash
    differs from that of the counted copy; ``settle`` decides whether they are duplicates or conflicts.
    """
    doubtful: list[DuplicateRow] = []
    runs: dict[int, EventsByName] = {}
    for record in records:
        batch = record.batch
        matcher, window = matchers.at(batch.namespace, batch.catalog_offset, batch.rounds)
        decision = memory.decide(record, window, journal)
        if batch.size:
            row = flush.events.add(record, decision.dropped.indexes)
            runs.setdefault(id(matcher), EventsByName(matcher)).add(batch, decision.counted, row)
        drops = decision.dropped
        if len(drops):
            flush.duplicates.add(record, drops.where(drops.same))
            doubtful += [DuplicateRow(record, dropped) for dropped in drops.where(~drops.same)]
        flush.records.append(record)
        if record.void is not None:
            flush.voids.append(record)
    for run in runs.values():
        run.match(flush.events.matches)
    if records:
        flush.progress[(memory.generation, memory.partition)] = memory.cursor
    return doubtful


def decided_before(
    journal: Mapping[bytes, Sequence[Counted]], generation: int, offset: int
) -> dict[bytes, list[Counted]]:
    """``journal`` without copies at ``offset`` or above. In a replay those are decided anew, and the stored ones
    may be wrong."""
    return {
        name: [copy for copy in copies if (copy.generation, copy.offset) < (generation, offset)]
        for name, copies in journal.items()
    }


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


def content_of(record: Record, index: int) -> EventContent:
    """The content of an event that all copies under one key must share: event name, account, properties."""
    batch = record.batch
    return batch.event_name(index), batch.account_ids[index], batch.properties[index]


def position_of(counted: Counted | Place) -> CopyPosition:
    """Position (generation, partition, offset, index) of a counted copy."""
    return counted.generation, counted.partition, counted.offset, counted.index


def settle(flush: Flush, doubtful: Sequence[DuplicateRow], contents: Mapping[CopyPosition, EventContent]) -> None:
    """Sort ``doubtful`` rows into duplicates (equal canonical content) and conflicts.

    Raises LookupError if the content of a counted copy is unknown; then nothing may be written.
    """
    for row in doubtful:
        position = position_of(row.dropped.first)
        counted = contents.get(position)
        if counted is None:
            raise LookupError(f"the journal has no event at {position}, which counted; it is not to be guessed")
        if _same(counted, content_of(row.record, row.dropped.index)):
            flush.duplicates.add(row.record, Drops.of([row.dropped], [True]))
        else:
            flush.conflicts.append(row)


def _same(counted: EventContent, second: EventContent) -> bool:
    try:
        return same_content(counted, second)
    except ValueError:
        return False


def conflict_rejection(row: DuplicateRow, topic: str) -> RejectedEvent:
    """The rejection of a conflict. Its id is derived from its position, so that writing it twice is recognised."""
    record, index, counted = row.record, row.dropped.index, row.dropped.first
    batch = record.batch
    return RejectedEvent(
        namespace=batch.namespace,
        stage="meter",
        reason="conflict",
        detail=f"the idempotency key was used before with other content, at partition {counted.partition} offset "
        f"{counted.offset} index {counted.index}; send a different event under a key of its own",
        events=1,
        original=batch.properties[index].encode(),
        received_at=record.append_us,
        rejection_id=derived_id(topic, record.partition, record.offset, index),
        account_id=batch.account_ids[index],
        event_name=batch.event_name(index),
        idempotency_key=batch.idempotency_keys[index],
        origin=Origin(topic, record.generation, record.partition, record.offset, index),
    )


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
