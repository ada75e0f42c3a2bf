"""Voids in the log: what they mean is a function of the log below them, however often and in whatever cuts it is
read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.batch import encode_batch
from schemas.events.voids import EventVoid, decode_void, encode_void, is_void
from schemas.kafka.codec import CodecError
from schemas.values.instants import DAY
from stream_processors.metering.meter_records import Flush
from stream_processors.metering.settle_voids import Target, Voided, settle_voids, voided_table, voids_table
from tests.unit.stream_processors.metering.builders import HOUR, Store, catalog, event, meter, mixed_log
from tests.unit.stream_processors.metering.flush_builders import Asked, record

VOID = EventVoid("default", "", "6", "sent twice", "clerk (key_1)")
steps_ = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=4) | st.integers(0, 4),
    min_size=1,
    max_size=16,
)
ages_ = st.sampled_from([None, 3600, 36 * 3600])


def times(steps, data):
    hours = data.draw(st.lists(st.integers(0, 40), min_size=len(steps), max_size=len(steps)))
    return [sum(hours[: number + 1]) * HOUR for number in range(len(steps))]


def clean(log, expected):
    store = Store()
    memory = store.memory()
    for item in log:
        store.write(meter(store, memory, [item], log, expected))
    return store


@given(steps_, ages_, st.data())
def test_a_void_means_the_last_copy_that_counted_before_it_once(steps, age, data):
    append_us = times(steps, data)
    log, result = mixed_log(steps, append_us), catalog(age)
    store = clean(log, result)
    window = None if age is None else age * 1_000_000 + DAY
    last_recorded: dict[int, tuple[int, int]] = {}
    voided, without_effect = {}, {}
    for offset, (step, at) in enumerate(zip(steps, append_us, strict=True)):
        if isinstance(step, int):
            if step not in last_recorded:
                without_effect[offset] = "nothing_to_void"
            elif (1, 0, *last_recorded[step]) in voided:
                without_effect[offset] = "already_voided"
            else:
                voided[(1, 0, *last_recorded[step])] = (1, offset)
            continue
        for index, (key, _) in enumerate(step):
            # A voided identity stays counted: its copies are duplicates as before.
            if key not in last_recorded or (window is not None and append_us[last_recorded[key][0]] <= at - window):
                last_recorded[key] = (offset, index)
                assert (1, 0, offset, index) in store.events
            else:
                assert (1, 0, offset, index) not in store.events
    assert store.void_rows() == (voided, without_effect)
    assert store.cursor == len(steps)


@given(steps_, ages_, st.data())
def test_crashes_between_any_two_steps_and_replays_void_the_same(steps, age, data):
    log, result = mixed_log(steps, times(steps, data)), catalog(age)
    store = Store()
    memory = store.memory()
    crashes = 0
    while store.cursor < len(log):
        memory.recent_limit = data.draw(st.integers(0, 4))
        flush = meter(store, memory, log[memory.cursor : memory.cursor + data.draw(st.integers(1, 5))], log, result)
        step = data.draw(st.integers(0, 5)) if crashes < 8 else 5
        store.write(flush, step)
        crashes += step < 5
        if step < 5:
            memory = store.memory()
    expected = clean(log, result)
    assert store.rows() == expected.rows()
    assert store.void_rows() == expected.void_rows()


moves_ = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 4), st.sampled_from([1, 2, 3, 5, 5, 5]), st.booleans()), max_size=25
)


@given(steps_, ages_, moves_)
def test_two_owners_at_once_void_the_same(steps, age, moves):
    """A zombie goes on from its old state, any number of steps behind or ahead of the new owner."""
    log, result = mixed_log(steps, [7 * number * HOUR for number in range(len(steps))]), catalog(age)
    store = Store()
    owners = [store.memory(), store.memory()]
    unwritten: list[Flush | None] = [None, None]
    for who, size, step, rebuilt in moves:
        if rebuilt:
            owners[who], unwritten[who] = store.memory(), None
        flush = unwritten[who]
        if flush is None:
            flush = meter(store, owners[who], log[owners[who].cursor : owners[who].cursor + size], log, result)
        store.write(flush, step)
        unwritten[who] = flush if step < 5 else None
    last_memory = store.memory()
    store.write(meter(store, last_memory, log[last_memory.cursor :], log, result))
    expected = clean(log, result)
    assert (store.rows(), store.void_rows()) == (expected.rows(), expected.void_rows())


@given(steps_, st.integers(0, 15), st.integers(1, 15))
def test_a_log_that_is_read_again_from_anywhere_voids_the_same(steps, start, size):
    """Rows of later voids are in the journal then, and must not count as earlier ones."""
    log, result = mixed_log(steps, [number * HOUR for number in range(len(steps))]), catalog(None)
    store = clean(log, result)
    expected = ({**store.voided}, {**store.without_effect})
    repeated_items = [item for item in log[start : start + size] if item.void is not None]
    store.write(Flush(voids=repeated_items), 3)
    assert store.void_rows() == expected


@settings(max_examples=50)
@given(steps_, ages_, st.data())
def test_a_flush_that_is_written_above_a_restored_copy_up_to_its_voids_changes_nothing(steps, age, data):
    """An insert is tried again until a ClickHouse answers that was restored from an older copy: what is inserted lands
    above a hole, and the log is read again from the copy's cursor."""
    log, result = mixed_log(steps, times(steps, data)), catalog(age)
    begin = data.draw(st.integers(0, len(log)))
    store, copy = clean(log[:begin], result), clean(log[: data.draw(st.integers(0, begin))], result)
    copy.write(meter(store, store.memory(), log[begin : begin + 3], log, result), 2)
    restored = copy.memory()
    while copy.cursor < len(log):
        copy.write(meter(copy, restored, log[copy.cursor : copy.cursor + 2], log, result))
    expected = clean(log, result)
    assert (copy.rows(), copy.void_rows()) == (expected.rows(), expected.void_rows())


def test_what_a_void_does_is_not_decided_by_a_journal_that_was_restored_while_an_insert_was_tried_again():
    item = Asked()
    copies = encode_batch("default", 0, [event(1, 0)])
    flush = item.prepare(record(5, copies), record(6, encode_void(VOID)))
    cursors, inserted = [{(1, 0): 5}, {(1, 0): 2}], []

    class Restored:
        """Its cursor goes back between the first insert and the voids; no event of theirs is there any more."""

        def run(self, what: str, call: Any) -> Any:
            return cursors.pop(0)

        def insert(self, table: str, rows: Any) -> None:
            inserted.append(table)

        def counted(self, names: Any) -> Any:
            return {}

        def query(self, *_: Any) -> Any:
            return []

        def flush_door(self, duplicates: bool) -> str:
            return "usage_flush" if duplicates else "usage_flush_counted"

    item.meter._writing = cast(Any, Restored())
    item.meter.commit(flush)
    # No rejection, no row of a void, no cursor: all of it comes again.
    assert (inserted, flush.gone_back, flush.gaps) == (["usage_flush_counted"], True, {0: 5})


def test_a_void_in_another_generation_means_copies_of_the_one_before():
    log = mixed_log([[(1, 0)], 1], [HOUR, 2 * HOUR])
    store = Store()
    store.write(meter(store, store.memory(), log[:1], log, catalog(None)))
    later = replace(log[1], generation=2, offset=0)
    settled = settle_voids([later], store.counted([later.void.identity]), {}, "usage.events.2")
    assert [item.target.offset for item in settled.voided] == [0]
    assert settle_voids([later], store.counted([later.void.identity]), {(1, 0, 0, 0): (1, 7)}, "t").voided == []


def test_the_record_round_trips_and_is_told_from_a_batch_by_its_header():
    value = encode_void(VOID)
    assert is_void(value)
    assert decode_void(value) == VOID
    assert not is_void(encode_batch("default", 0, [event(6, 0)]))
    assert VOID.identity == event(6, 0).identity
    with pytest.raises(CodecError):
        decode_void(value[:-1])


def test_the_meter_takes_voids_in_their_order_and_a_broken_one_as_junk():
    item = Asked()
    flush = item.prepare(record(5), record(6, encode_void(VOID)), record(7, encode_void(VOID)[:-1]), record(8))
    assert flush.progress == {(1, 0): 9}
    assert [(void.offset, void.void) for void in flush.voids] == [(6, VOID)]
    assert [(result.offset, result.batch.namespace, result.batch.size) for result in flush.records] == [
        (5, "default", 1), (6, "default", 0), (7, "", 0), (8, "default", 1),
    ]  # fmt: skip
    assert [row.reason for row in flush.rejections] == ["undecodable"]


def test_voids_alone_are_no_poison():
    value = encode_void(VOID)
    flush = Asked().prepare(*[record(5 + number, value) for number in range(300)])
    assert (flush.progress, len(flush.voids), flush.rejections) == ({(1, 0): 305}, 300, [])


def test_rows_say_what_was_voided_by_whom_and_why():
    log = mixed_log([[(6, 0)], 6, 6, 7], [HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR])
    store = Store()
    store.write(meter(store, store.memory(), log[:1], log, catalog(None)))
    settled = settle_voids(log[1:], store.counted([item.void.identity for item in log[1:]]), {}, "usage.events.1")
    target = Target("acct", "Song played", 5, ("song.plays",))
    [row] = voided_table(settled.voided, {(1, 0, 0, 0): target}).to_pylist()
    shown = {name: row[name] for name in ("account_id", "idempotency_key", "offset", "void_offset", "reason", "author")}
    assert shown == {
        "account_id": "acct",
        "idempotency_key": "6",
        "offset": 0,
        "void_offset": 1,
        "reason": "sent twice",
        "author": "test",
    }
    rows = voids_table(log[1:]).to_pylist()
    assert [(item["offset"], item["idempotency_key"]) for item in rows] == [(1, "6"), (2, "6"), (3, "7")]
    assert [(rejection.reason, rejection.events, rejection.origin.offset) for rejection in settled.rejections] == [
        ("already_voided", 0, 2), ("nothing_to_void", 0, 3),
    ]  # fmt: skip
    assert "sent twice" in settled.rejections[0].detail
    assert "offset 1" in settled.rejections[0].detail
    with pytest.raises(LookupError, match="not to be guessed"):
        voided_table([Voided(log[1], settled.voided[0].target)], {})
