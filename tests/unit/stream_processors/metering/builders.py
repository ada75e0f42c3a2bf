"""Events, batches, catalogs, and what ClickHouse would hold of them, for tests of the metering core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from schemas.catalog.meters import Meter
from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import decode_batch, encode_batch
from schemas.events.identity import content_hash, identity
from schemas.events.voids import EventVoid
from schemas.values.instants import DAY, micros
from stream_processors.metering.bloom import DailyFilters, keys_of
from stream_processors.metering.dedupe import Counted, PartitionMemory, Record
from stream_processors.metering.event_copies import content_of, position_of, settle
from stream_processors.metering.flush_tables import COUNTS, DUPLICATE, flush_table
from stream_processors.metering.meter_records import Flush, Matchers, meter_records
from stream_processors.metering.settle_voids import VoidPlace, settle_voids, void_batch, void_of

HOUR = 3_600_000_000
METER = Meter.model_validate(
    {
        "code": "song",
        "event_name": "Song played",
        "profiles": [
            {"code": "plays", "aggregation": "count"},
            {
                "code": "usa",
                "aggregation": "sum",
                "property": "n",
                "filters": [{"property": ["country"], "operator": "in", "value": "USA"}],
            },
        ],
    }
)
# The first two say the same in other words; the third is a conflict with both.
BODIES = ['{"country":"USA","n":1}', '{"n": 1.0, "country": "USA"}', '{"country":"FR","n":"2.5"}']


def catalog(age: int | None) -> Catalog:
    item = Catalog()
    settings_ = Namespace(code="default", max_event_age_seconds=age, max_event_skew_seconds=0)
    item.apply(record_of("default", settings_, kind="namespace", version=1, author="", claim_id="a"), 0, 0)
    item.apply(record_of("default", METER, kind="meter", version=1, author="", claim_id="b"), 1, 0)
    return item


def event(key: int, body: int, at_us: int = 1) -> AcceptedEvent:
    text = BODIES[body]
    name = identity("default", "", str(key))
    return AcceptedEvent(
        name, content_hash("Song played", "acct", text.encode()), "Song played", "acct", str(key), "", at_us, text
    )


def log_of(batches: list[list[tuple[int, int]]], hours: list[int]) -> list[Record]:
    return log_at(batches, [sum(hours[: number + 1]) * HOUR for number in range(len(batches))])


def log_at(batches: list[list[tuple[int, int]]], append_us: Sequence[int]) -> list[Record]:
    """Partition 0; append times ascend, in whole milliseconds as Kafka has them."""
    return [
        Record(1, 0, offset, at, decode_batch(encode_batch("default", 2, [event(key, body) for key, body in batch])))
        for offset, (batch, at) in enumerate(zip(batches, append_us, strict=True))
    ]


def mixed_log(steps: Sequence[list[tuple[int, int]] | int], append_us: Sequence[int]) -> list[Record]:
    """``log_at`` of batches and, where a step is a key, a void of that key."""
    log = log_at([step if isinstance(step, list) else [(0, 0)] for step in steps], append_us)
    for offset, step in enumerate(steps):
        if isinstance(step, int):
            void = EventVoid("default", "", str(step), "sent twice", "test")
            log[offset] = Record(1, 0, offset, append_us[offset], void_batch("default"), void)
    return log


Position = tuple[int, int, int, int]


@dataclass
class Store:
    """What is durable, as ReplacingMergeTree would hold it: rows by position, and the cursors."""

    events: dict[Position, tuple] = field(default_factory=dict)
    identities: dict[bytes, dict[Position, Counted]] = field(default_factory=dict)
    duplicates: dict[Position, Position] = field(default_factory=dict)
    conflicts: dict[Position, Position] = field(default_factory=dict)
    batches: dict[tuple[int, int, int], int] = field(default_factory=dict)
    cursors: dict[tuple[int, int], int] = field(default_factory=dict)
    voided: dict[Position, VoidPlace] = field(default_factory=dict)
    without_effect: dict[int, str] = field(default_factory=dict)

    def write(self, flush: Flush, upto: int = 5) -> None:
        """The first ``upto`` steps of the commit protocol, the views of its first insert one by one; 5 = all."""
        for row in flush_table(flush.events, flush.duplicates).to_pylist() if upto >= 1 and flush.events else []:
            position = (row["generation"], row["partition"], row["offset"], row["index"])
            fate = row.pop("fate", COUNTS)
            first = tuple(row.pop(f"first_{name}", 0) for name in ("generation", "partition", "offset", "index"))
            if fate == COUNTS:
                self.events[position] = tuple(sorted((k, str(v)) for k, v in row.items()))
                item = Counted(*position, micros(row["append_time"]), row["content_hash"])
                self.identities.setdefault(row["identity"], {})[position] = item
            elif fate == DUPLICATE and upto >= 2:
                self.duplicates[position] = first
        if upto >= 3:
            for row in flush.conflicts:
                value = row.record.generation, row.record.partition, row.record.offset, row.dropped.index
                self.conflicts[value] = position_of(row.dropped.first)
        if upto >= 3 and flush.voids:
            names = [void_of(record).identity for record in flush.voids]
            settled = settle_voids(flush.voids, self.counted(names), self.voided, "usage.events.1")
            for item in settled.voided:
                self.voided[position_of(item.target)] = (item.record.generation, item.record.offset)
            self.without_effect |= {rejected.origin.offset: rejected.reason for rejected in settled.rejections}
        if upto >= 4:
            for record in flush.records:
                self.batches[(record.generation, record.partition, record.offset)] = record.batch.size
        if upto >= 5:
            for key, offset in flush.progress.items():
                self.cursors[key] = max(self.cursors.get(key, 0), offset)

    @property
    def cursor(self) -> int:
        """That of generation 1, partition 0."""
        return self.cursors.get((1, 0), 0)

    def filters(self) -> DailyFilters:
        item = DailyFilters()
        for name, copies in self.identities.items():
            for copy in copies.values():
                item.add(copy.append_us // DAY, keys_of(name))
        return item

    def memory(self, generation: int = 1, partition: int = 0) -> PartitionMemory:
        return PartitionMemory(generation, partition, self.cursors.get((generation, partition), 0), self.filters())

    def counted(self, names: Sequence[bytes]) -> dict[bytes, list[Counted]]:
        return {name: list(self.identities.get(name, {}).values()) for name in names}

    def rows(self) -> tuple[Any, ...]:
        return self.events, self.duplicates, self.conflicts, self.batches, self.cursors

    def void_rows(self) -> tuple[Any, ...]:
        """What voids did."""
        return self.voided, self.without_effect


def meter(store: Store, memory: PartitionMemory, records: list[Record], log: list[Record], expected: Catalog) -> Flush:
    flush = Flush()
    matchers, journal = Matchers(expected), store.counted(memory.suspects(records))
    decisions = [
        memory.decide(record, matchers.window(record.batch.namespace, record.batch.catalog_offset), journal)
        for record in records
    ]
    doubtful = meter_records(flush, records, decisions, matchers)
    flush.progress[memory.generation, memory.partition] = memory.cursor
    by_place = {(record.generation, record.partition, record.offset): record for record in log}
    contents = {
        position: content_of(by_place[position[:3]], position[3])
        for position in (position_of(row.dropped.first) for row in doubtful)
    }
    settle(flush, doubtful, contents)
    return flush


def clean_pass(log: list[Record], expected: Catalog) -> tuple[Any, ...]:
    """The rows of a worker that reads the log once, a record at a time, undisturbed."""
    store = Store()
    memory = store.memory()
    for record in log:
        store.write(meter(store, memory, [record], log, expected))
    return store.rows()


batches_ = st.lists(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), min_size=1, max_size=5), min_size=1, max_size=10
)
MS = 1000
