"""DESIGN section 4, invariants 5, 6 and 11, one property each: whatever happens, rows and totals are those of one clean
pass. Invariants 1 and 2 stand in test_invariants_acknowledged.py, 2 to 4 in test_invariants_dedupe.py, 7 to 10 in
tests/unit/rating."""

from __future__ import annotations

import threading
from collections import Counter
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog.meters import Filter
from schemas.catalog.state import Catalog, record_of
from schemas.events.batch import decode_batch, encode_batch
from schemas.settings import Settings
from stream_processors.metering.dedupe import PartitionMemory, Record
from stream_processors.metering.event_copies import position_of
from stream_processors.metering.flush import UnitMeter, following
from stream_processors.metering.flush_tables import flush_table
from stream_processors.metering.meter_records import decided_before
from stream_processors.metering.metered_topic import MeteredTopic, RawRecord
from tests.unit.stream_processors.metering.builders import (
    BODIES,
    METER,
    MS,
    Store,
    batches_,
    catalog,
    clean_pass,
    event,
    log_of,
    meter,
)

# --- 5: rows are a pure function of the log -------------------------------------------------------------------------

changes_ = st.lists(
    st.tuples(st.sampled_from(["USA", "FR"]), st.booleans(), st.one_of(st.none(), st.integers(0, 50))), max_size=4
)


def changing_catalog(changes: list[tuple[str, bool, int | None]], previous: int) -> Catalog:
    """A meter that is changed or retired, at once or from a stated instant; only the records below offset
    ``before``."""
    result = catalog(None)
    for number, (country, retired, valid_from) in enumerate(changes):
        offset = 2 + number
        if offset >= previous:
            break
        usa = METER.profiles[1]
        profile = usa.model_copy(update={"filters": (Filter(property=("country",), operator="in", value=country),)})
        model = METER.model_copy(update={"profiles": (METER.profiles[0], profile)})
        record = record_of(
            "default", model, kind="meter", version=2 + number, author="", claim_id="c", retired=retired,
            valid_from_us=valid_from,
        )  # fmt: skip
        assert result.apply(record, offset, 10 * offset) is not None
    return result


@settings(max_examples=50)
@given(changes_, st.data())
def test_invariant_5_rows_depend_on_the_log_and_on_the_catalog_that_each_batch_names(changes, data):
    """Batches pinned to older and newer catalogs in any order, event times on both sides of every span; a worker whose
    catalog is far ahead, which reads in other cuts and crashes, writes what one wrote who knew nothing newer than each
    batch."""
    newest = 2 + len(changes)
    log, clean = [], Store()
    memory = clean.memory()
    for offset in range(data.draw(st.integers(1, 8))):
        events = [
            event(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 2)), at_us=data.draw(st.integers(0, 50)))
            for _ in range(data.draw(st.integers(1, 3)))
        ]
        pinned = data.draw(st.integers(2, newest))
        log.append(Record(1, 0, offset, offset * MS, decode_batch(encode_batch("default", pinned, events))))
        clean.write(meter(clean, memory, [log[-1]], log, changing_catalog(changes, pinned)))
    ahead = changing_catalog(changes, newest + 1)
    store = Store()
    while store.cursor < len(log):
        memory = store.memory()
        unit = log[store.cursor : store.cursor + data.draw(st.integers(1, 4))]
        step = data.draw(st.sampled_from([5, 5, 1]))
        store.write(meter(store, memory, unit, log, ahead), step)
    assert store.rows() == clean.rows()


# --- 6: one cursor --------------------------------------------------------------------------------------------------


class Consumer:
    """One worker and the consumer that feeds it: the broker's log by partition, a position that may jump, seeks
    obeyed."""

    def __init__(self, store: Store, log: dict[int, list[Record]], made: Catalog) -> None:
        self.store, self.log = store, log
        self.at = dict.fromkeys(log, 0)
        follower: Any = SimpleNamespace(catalog=made, wait_for=lambda offset, timeout: True)
        nothing: Any = None  # prepare writes nothing
        topic = MeteredTopic(name="usage.events.1", partitions=len(log), seek=self.seek, log_start=lambda partition: 0)
        self.meter = UnitMeter(Settings(), topic, follower, nothing, threading.Event())
        journal: Any = self
        self.meter._reading = journal

    def seek(self, partition: int, cursor: int) -> None:
        self.at[partition] = cursor

    def cursor(self, generation: int, partition: int) -> int:
        return self.store.cursors.get((generation, partition), 0)

    def filters(self, *_: Any) -> Any:
        return self.store.filters()

    def poison(self, *_: Any) -> list[bool]:
        return []

    def appended_before(self, *_: Any) -> None:
        return None

    def counted(self, names: Any) -> Any:
        return self.store.counted(names)

    def contents(self, positions: Any) -> Any:
        return {
            position: ("Song played", "acct", self.log[position[1]][position[2]].batch.properties[position[3]])
            for position in positions
        }

    def read(self, sizes: dict[int, int], upto: int) -> None:
        """Take some records of each partition, and write what they give as far as step ``upto``."""
        raws = []
        for partition, size in sizes.items():
            start = self.at[partition]
            for record in self.log[partition][start : start + size]:
                batch = record.batch
                events = [
                    event(int(key), BODIES.index(text))
                    for key, text in zip(batch.idempotency_keys, batch.properties, strict=True)
                ]
                value = encode_batch("default", 2, events)
                raws.append(RawRecord(partition, record.offset, record.append_us, value))
                self.at[partition] = record.offset + 1
        flush = self.meter.prepare(raws, None)
        # As ``commit`` does: nothing where a cursor has gone back; else rows first, then the cursor.
        flush.progress, back = following(flush, self.store.cursors)
        if back:
            self.meter.reassigned()
            return
        self.store.write(flush, upto)


@settings(max_examples=40)
@given(batches_, batches_, st.data())
def test_invariant_6_the_cursor_decides_whatever_the_consumer_delivers(one, other, data):
    """Records come again, are left out, come after a rebalance from anywhere; the worker is killed between any two
    steps; an older copy of what was durable is restored beneath it."""
    logs = {}
    for partition, batches in enumerate((one, other)):
        item = [[(key * 2 + partition, body) for key, body in batch] for batch in batches]
        logs[partition] = [
            Record(1, partition, record.offset, record.append_us, record.batch)
            for record in log_of(item, [1] * len(item))
        ]
    known, store = catalog(None), Store()
    consumer, copy = Consumer(store, logs, known), Store()
    for _ in range(data.draw(st.integers(0, 12))):
        move = data.draw(st.sampled_from(["read", "read", "read", "jump", "rebalance", "kill", "copy", "restore"]))
        if move == "read":
            consumer.read({0: data.draw(st.integers(0, 3)), 1: data.draw(st.integers(0, 3))}, 5)
        elif move == "jump":
            partition = data.draw(st.integers(0, 1))
            consumer.at[partition] = data.draw(st.integers(0, len(logs[partition])))
        elif move == "rebalance":
            consumer.meter.reassigned()
        elif move == "copy":
            copy = deepcopy(store)
        elif move == "restore":  # beneath the worker, which goes on as if nothing had happened
            consumer.store = store = deepcopy(copy)
        else:
            consumer.read({0: 2, 1: 2}, data.draw(st.integers(0, 4)))
            consumer = Consumer(store, logs, known)
            consumer.at = {partition: data.draw(st.integers(0, len(log))) for partition, log in logs.items()}
    for partition in logs:
        consumer.at[partition] = 0
    for _ in range(60):
        previous = dict(store.cursors)
        consumer.read({0: 5, 1: 5}, 5)
        if store.cursors == previous:  # the watchdog's nudge: what stands still below the log's end goes to the cursor
            consumer.meter.reassigned()
        consumer.at = {partition: at if at < len(logs[partition]) else 0 for partition, at in consumer.at.items()}
        if store.cursors == {(1, partition): len(log) for partition, log in logs.items()}:
            break
    everything = [record for log in logs.values() for record in log]
    clean = Store()
    for partition, log in logs.items():
        memory = PartitionMemory(1, partition, 0, Store().filters())
        clean.write(meter(clean, memory, log, everything, known))
    assert store.rows() == clean.rows()


@settings(max_examples=15)
@given(batches_, st.randoms(use_true_random=False))
def test_invariant_6_offsets_that_are_replayed_give_the_rows_of_one_clean_pass_whatever_is_damaged(batches, random):
    """Rows from some offset on are lost, and copies counted meanwhile since their first was not known; then that range
    is replayed, in units of any size, by the identities that are there, and twice."""
    log, result, store = log_of(batches, [1] * len(batches)), catalog(None), Store()
    memory = store.memory()
    for record in log:
        store.write(meter(store, memory, [record], log, result))
    start = random.randrange(len(log))
    for table in (store.events, store.duplicates, store.conflicts, store.batches, *store.identities.values()):
        for item in [item for item in table if item[2] >= start and random.random() < 0.5]:
            del table[item]
    wrong = random.randrange(start, len(log))
    blind = PartitionMemory(1, 0, wrong, store.filters())
    store.write(meter(store, blind, log[wrong:], log, result))
    for _ in range(2):
        at = start
        while at < len(log):
            unit = log[at : at + random.randint(1, 3)]
            memory = PartitionMemory(1, 0, at, store.filters())
            held, store.identities = store.identities, decided_before_all(store.identities, at)
            flush = meter(store, memory, unit, log, result)
            store.identities = held
            store.write(flush)
            # As ``replay.offsets`` does: what is at these offsets and was not written just now goes.
            offsets = {record.offset for record in unit}
            counted = set()
            if flush.events.size:
                counted = {(row["offset"], row["index"]) for row in flush_table(flush.events).to_pylist()}
            places = {table: {(row.record.offset, row.dropped.index) for row in rows} for table, rows in
                      (("duplicates", flush.duplicates), ("conflicts", flush.conflicts))}  # fmt: skip
            for table, right in (
                (store.events, counted),
                (store.duplicates, places["duplicates"]),
                (store.conflicts, places["conflicts"]),
            ):
                for item in [item for item in table if item[2] in offsets and item[2:] not in right]:
                    del table[item]
            for copies in store.identities.values():
                for item in [copy for copy in copies if copy[2] in offsets and copy[2:] not in counted]:
                    del copies[item]
            at += len(unit)
        assert store.rows() == clean_pass(log, result)


def decided_before_all(identities: Any, offset: int) -> Any:
    stored_decided_before = decided_before(
        {name: list(copies.values()) for name, copies in identities.items()}, 1, offset
    )
    return {name: {position_of(copy): copy for copy in copies} for name, copies in stored_decided_before.items()}


# --- 11: the ledger balances ----------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(batches_, st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3), st.integers(1, 5)), max_size=12))
def test_invariant_11_every_accepted_event_is_in_exactly_one_place_at_every_moment(batches, moves):
    """Two owners, replays and crashes between steps: below the cursor, always, accepted = counted + duplicates +
    conflicts."""
    log, result, store = log_of(batches, [1] * len(batches)), catalog(None), Store()
    memories = [store.memory(), store.memory()]
    for who, size, step in [*moves, (0, len(log), 5), (0, len(log), 5)]:
        unit = log[memories[who].cursor : memories[who].cursor + size]
        store.write(meter(store, memories[who], unit, log, result), step)
        if step < 5:
            memories[who] = store.memory()
        places: Counter[int] = Counter()
        for table in (store.events, store.duplicates, store.conflicts):
            places.update(item[2] for item in table if item[2] < store.cursor)
        assert places == Counter({batch[2]: size for batch, size in store.batches.items() if batch[2] < store.cursor})
    assert store.cursor == len(log)
    assert sum(store.batches.values()) == sum(map(len, batches))
