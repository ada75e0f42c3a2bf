"""From records of usage.events to what one flush writes: decode → dedupe → match → rows.

Everything here is a function of the log, the catalog at each batch's offset, and what the journal holds below the
cursor; so a replay prepares the same rows (DESIGN invariant 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.catalog.profiles import KINDS, profile_versions
from schemas.catalog.state import Catalog
from schemas.events.acceptance import same_content
from schemas.events.event_types import event_types
from schemas.events.rejections import Origin, RejectedEvent, derived_id
from schemas.matching.columns import ColumnMatcher
from stream_processors.metering.by_event_name import Runs
from stream_processors.metering.dedupe import Counted, PartitionMemory, Record, window_us
from stream_processors.metering.rows import DuplicateRow, EventColumns

_MADE_OF: Final = (*KINDS, "event_type")
Position = tuple[int, int, int, int]
Content = tuple[str, str, str]


@dataclass(slots=True)
class Flush:
    """What one flush writes; ``progress``: (generation, partition) → next offset; ``gaps``: partition → cursor below
    which alone its records are taken, since those above it do not follow it and have to be read again."""

    events: EventColumns = field(default_factory=EventColumns)
    duplicates: list[DuplicateRow] = field(default_factory=list)
    conflicts: list[DuplicateRow] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    rejections: list[RejectedEvent] = field(default_factory=list)
    voids: list[Record] = field(default_factory=list)  # in log order by partition
    progress: dict[tuple[int, int], int] = field(default_factory=dict)
    gaps: dict[int, int] = field(default_factory=dict)
    gone_back: bool = False
    """Whether a cursor was found behind the records: then the unit is read again."""
    left: dict[int, int] = field(
        default_factory=dict
    )  # partition → offset from which its records are for the next flush


class Matchers:
    """Compiled catalogs by namespace and catalog offset."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def at(self, namespace: str, catalog_offset: int, rounds: bool = True) -> tuple[ColumnMatcher, int | None]:
        """The matcher and the window W (microseconds; None: for ever) of a batch; ``rounds``: as the batch has it. The
        same matcher as long as no meter and no event type changes, whoever signs up meanwhile."""
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
    """Decide and match consecutive records of one partition, beginning at the memory's cursor, into ``flush``.

    Returns the dropped events whose content hash differs from the counted copy's: duplicates or conflicts, which
    ``settle`` tells apart.
    """
    doubtful: list[DuplicateRow] = []
    runs: dict[int, Runs] = {}
    for record in records:
        batch = record.batch
        matcher, window = matchers.at(batch.namespace, batch.catalog_offset, batch.rounds)
        decision = memory.decide(record, window, journal)
        if decision.counted:
            row = flush.events.add(record, decision.counted)
            runs.setdefault(id(matcher), Runs(matcher)).add(batch, decision.counted, row)
        for dropped in decision.dropped:
            duplicate = DuplicateRow(record, dropped)
            if dropped.first.content_hash == batch.content_hash(dropped.index):
                flush.duplicates.append(duplicate)
            else:
                doubtful.append(duplicate)
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
    """Without copies at ``offset`` and above: where those are replayed they are decided now, and what stands there may
    be wrong."""
    return {
        name: [copy for copy in copies if (copy.generation, copy.offset) < (generation, offset)]
        for name, copies in journal.items()
    }


def following(
    flush: Flush, cursors: Mapping[tuple[int, int], int]
) -> tuple[dict[tuple[int, int], int], dict[int, int]]:
    """The progress that follows the cursors as they stand, and by partition the cursors that have gone back.

    A ClickHouse that was restored beneath a worker, or a replica that has lost what it had acknowledged, lies behind
    the flush. To move its cursor would leave a hole for ever: nothing of the partition is acknowledged (``gaps``), and
    it is read again from there.
    """
    begins: dict[tuple[int, int], int] = {}
    for record in flush.records:
        begins.setdefault((record.generation, record.partition), record.offset)
    behind = {key: cursors.get(key, 0) for key, begin in begins.items() if cursors.get(key, 0) < begin}
    for key in behind:
        flush.gaps[key[1]] = min(begins[key], flush.gaps.get(key[1], begins[key]))
    progress = {key: offset for key, offset in flush.progress.items() if key not in behind}
    return progress, {partition: cursor for (_, partition), cursor in behind.items()}


def content_of(record: Record, index: int) -> Content:
    """What two copies must agree on."""
    batch = record.batch
    return batch.event_name(index), batch.account_ids[index], batch.properties[index]


def position_of(counted: Counted) -> Position:
    """The position of a counted copy."""
    return counted.generation, counted.partition, counted.offset, counted.index


def settle(flush: Flush, doubtful: Sequence[DuplicateRow], contents: Mapping[Position, Content]) -> None:
    """Sort the doubtful into duplicates (same canonical content) and conflicts. Raises LookupError where a counted
    copy's content is unknown: then nothing may be written."""
    for row in doubtful:
        position = position_of(row.dropped.first)
        counted = contents.get(position)
        if counted is None:
            raise LookupError(f"the journal has no event at {position}, which counted; it is not to be guessed")
        if _same(counted, content_of(row.record, row.dropped.index)):
            flush.duplicates.append(row)
        else:
            flush.conflicts.append(row)


def _same(counted: Content, second: Content) -> bool:
    try:
        return same_content(counted, second)
    except ValueError:
        return False


def conflict_rejection(row: DuplicateRow, topic: str) -> RejectedEvent:
    """A conflict; its id is derived from its position, so that writing it again is recognised."""
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


def undecodable_rejection(
    topic: str, generation: int, partition: int, offset: int, append_us: int, value: bytes, why: str
) -> RejectedEvent:
    """Bytes in usage.events that are no packed batch. They stand for no accepted event."""
    return RejectedEvent(
        namespace="",
        stage="meter",
        reason="undecodable",
        detail=why[:500],
        events=0,
        original=value,
        received_at=append_us,
        rejection_id=derived_id(topic, partition, offset, 0),
        origin=Origin(topic, generation, partition, offset),
    )
