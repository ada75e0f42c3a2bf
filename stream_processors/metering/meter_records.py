"""Turns decided records of usage.events into the contents of one flush: match → rows.

Everything here is a function of the log, of the catalog at each batch's offset, and of what the journal contains
below the cursor. A replay therefore produces the same rows (DESIGN invariant 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.catalog.profiles import KINDS, profile_versions
from schemas.catalog.state import Catalog
from schemas.events.batch import UsageBatch
from schemas.events.event_types import event_types
from schemas.events.rejections import RejectedEvent
from schemas.matching.columns import ColumnMatcher
from schemas.matching.rule_columns import Events, Matches
from stream_processors.metering.dedupe import Counted, Decision, Dropped, Drops, Record, window_us

_MADE_OF: Final = (*KINDS, "event_type")
_Counted = NDArray[np.int64]


class DuplicateRow(NamedTuple):
    """A dropped event and the record that contains it."""

    record: Record
    dropped: Dropped


class Duplicates:
    """The duplicates of a flush, by record."""

    def __init__(self) -> None:
        self._parts: list[tuple[Record, Drops]] = []

    def add(self, record: Record, drops: Drops) -> None:
        """Add duplicates of one record."""
        if len(drops):
            self._parts.append((record, drops))

    def __len__(self) -> int:
        return sum(len(drops) for _, drops in self._parts)

    def __iter__(self) -> Iterator[DuplicateRow]:
        return (DuplicateRow(record, dropped) for record, drops in self._parts for dropped in drops)

    def parts(self) -> Sequence[tuple[Record, Drops]]:
        """(record, its duplicates), a record possibly several times."""
        return self._parts


class FlushEvents:
    """The events of a flush, those that count and others, by record; ``matches`` refers to row numbers. ``size``: how
    many count. ``begins``: (generation, partition, offset) of a record → row number of its first event; ``dropped``:
    row numbers of the events that do not count, record by record."""

    def __init__(self) -> None:
        self.size = 0
        self.matches = Matches()
        self.records: list[Record] = []
        self.begins: dict[tuple[int, int, int], int] = {}
        self.dropped: list[NDArray[np.int64]] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, record: Record, dropped: NDArray[np.int64]) -> int:
        """Add a record's events; ``dropped``: indexes of those that do not count. Returns the row number of the
        first."""
        row = self._rows
        self.size += record.batch.size - len(dropped)
        self._rows += record.batch.size
        self.records.append(record)
        self.begins[record.generation, record.partition, record.offset] = row
        if len(dropped):
            self.dropped.append(dropped + row)
        return row


@dataclass(slots=True)
class Flush:
    """Everything that one flush writes.

    ``progress``: (generation, partition) → next offset. ``gaps``: partition → offset below which its records may be
    acknowledged; those from there on do not follow the cursor and must be read again. ``voids``: in log order
    within a partition. ``gone_back``: a cursor was found below the flush's records, so the unit must be read again.
    ``left``: partition → first offset that was left for the next flush.
    """

    events: FlushEvents = field(default_factory=FlushEvents)
    duplicates: Duplicates = field(default_factory=Duplicates)
    conflicts: list[DuplicateRow] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    rejections: list[RejectedEvent] = field(default_factory=list)
    voids: list[Record] = field(default_factory=list)
    progress: dict[tuple[int, int], int] = field(default_factory=dict)
    gaps: dict[int, int] = field(default_factory=dict)
    gone_back: bool = False
    left: dict[int, int] = field(default_factory=dict)


class Matchers:
    """Compiled matchers by namespace and catalog offset."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def window(self, namespace: str, catalog_offset: int) -> int | None:
        """The deduplication window W of a batch, in microseconds; None: unlimited."""
        settings = self._catalog.view(namespace, catalog_offset).settings
        return window_us(settings.max_event_age_seconds, settings.max_event_skew_seconds)

    def at(self, namespace: str, catalog_offset: int, rounds: bool = True) -> ColumnMatcher:
        """The matcher of a batch.

        ``rounds``: whether the batch's writer rounds numbers to 12 decimals (``UsageBatch.rounds``). The same
        matcher is returned as long as no meter and no event type changes; other catalog entries do not affect it.
        """
        view = self._catalog.view(namespace, catalog_offset)

        def make() -> tuple[ColumnMatcher, int]:
            matcher = ColumnMatcher(profile_versions(view), event_types(view).defaults, exactly=not rounds)
            return matcher, matcher.weight

        return view.derived("matcher" if rounds else "exact matcher", _MADE_OF, make)


def meter_records(
    flush: Flush, records: Sequence[Record], decisions: Sequence[Decision], matchers: Matchers
) -> list[DuplicateRow]:
    """Match consecutive records of one partition, each with the decision which of its events count, and add the
    results to ``flush``.

    Returns the dropped events whose content hash differs from that of the counted copy; ``event_copies.settle``
    decides whether they are duplicates or conflicts.
    """
    doubtful: list[DuplicateRow] = []
    groups: dict[int, EventsByName] = {}
    for record, (counted, drops) in zip(records, decisions, strict=True):
        batch = record.batch
        if batch.size:
            matcher = matchers.at(batch.namespace, batch.catalog_offset, batch.rounds)
            row = flush.events.add(record, drops.indexes)
            groups.setdefault(id(matcher), EventsByName(matcher)).add(batch, counted, row)
        if len(drops):
            flush.duplicates.add(record, drops.where(drops.same))
            doubtful += [DuplicateRow(record, dropped) for dropped in drops.where(~drops.same)]
        flush.records.append(record)
        if record.void is not None:
            flush.voids.append(record)
    for group in groups.values():
        group.match(flush.events.matches)
    return doubtful


@dataclass(slots=True)
class _Run:
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    stamps: list[NDArray[np.int64]] = field(default_factory=list)
    properties: list[bytes] = field(default_factory=list)
    parts: list[tuple[UsageBatch, _Counted]] = field(default_factory=list)

    def keys(self) -> list[str]:
        return [
            text for batch, counted in self.parts for text in map(batch.idempotency_keys.__getitem__, counted.tolist())
        ]


class EventsByName:
    """The counted events of one namespace under one matcher, by event name."""

    def __init__(self, matcher: ColumnMatcher) -> None:
        self._matcher = matcher
        self._by_name: dict[str, _Run] = {}

    def add(self, batch: UsageBatch, counted: range | _Counted, row: int) -> None:
        """Add the ``counted`` events (indexes) of a batch; ``row`` is the row of the batch's first event in the
        flush."""
        indexes = np.asarray(counted, np.int64)
        if len(batch.names) == 1:
            self._add(batch.names[0], batch, indexes, indexes + row)
            return
        numbers = batch.name_indexes[indexes]
        for number, name in enumerate(batch.names):
            of_name = indexes[numbers == number]
            self._add(name, batch, of_name, of_name + row)

    def _add(self, name: str, batch: UsageBatch, indexes: _Counted, rows: NDArray[np.int64]) -> None:
        if not len(indexes) or not self._matcher.knows(name):
            return
        run = self._by_name.setdefault(name, _Run())
        run.rows.append(rows)
        run.stamps.append(batch.timestamps_us[indexes])
        texts = batch.properties.pieces()
        run.properties += texts if len(indexes) == batch.size else [texts[index] for index in indexes.tolist()]
        run.parts.append((batch, indexes))

    def match(self, into: Matches) -> None:
        """Match all added events and append the results to ``into``."""
        for name, run in self._by_name.items():
            events = Events(np.concatenate(run.rows), np.concatenate(run.stamps), run.properties, run.keys)
            self._matcher.match(name, events, into)


def decided_before(
    journal: Mapping[bytes, Sequence[Counted]], generation: int, offset: int
) -> dict[bytes, list[Counted]]:
    """``journal`` without copies at ``offset`` or above. In a replay those are decided anew, and the stored ones
    may be wrong."""
    return {
        name: [copy for copy in copies if (copy.generation, copy.offset) < (generation, offset)]
        for name, copies in journal.items()
    }
