"""DESIGN section 4, invariants 2 to 4, one property each: of copies the first position counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog.models import Namespace
from schemas.events.acceptance import accept
from schemas.events.batch import decode_batch, encode_batch
from schemas.events.event_types import NO_TYPES
from schemas.events.identity import partition_of
from schemas.events.raw_events import RawEvent, Refused
from schemas.values.instants import DAY, SECOND, instant
from stream_processors.metering.dedupe import PartitionMemory, Record, window_us
from tests.unit.stream_processors.metering.builders import (
    MS,
    Store,
    batches_,
    catalog,
    clean_pass,
    event,
    log_at,
    log_of,
    meter,
)

AGE = 3 * 3600
W = AGE * SECOND + DAY
near_w_ = st.sampled_from([0, 1 * MS, W // 2, W // 2 + MS, W - MS, W, W + MS])


@settings(max_examples=30)
@given(batches_, st.data())
def test_invariant_3_first_position_wins_also_at_the_very_edge_of_the_window(batches, data):
    """Stated from scratch: an event counts iff no counted copy was appended within W before it. Filters are rebuilt
    from nothing, nothing is remembered as recent, units are cut anew, and one record in three is metered twice."""
    gaps = data.draw(st.lists(near_w_, min_size=len(batches), max_size=len(batches)))
    log, result = log_at(batches, [sum(gaps[: number + 1]) for number in range(len(batches))]), catalog(AGE)
    store = Store()
    while store.cursor < len(log):
        memory = store.memory()
        memory.recent_limit = 0
        unit = log[store.cursor : store.cursor + data.draw(st.integers(1, 3))]
        flush = meter(store, memory, unit, log, result)
        store.write(flush, data.draw(st.sampled_from([5, 5, 1])))
    expected, last_recorded = set(), {}
    for record, batch in zip(log, batches, strict=True):
        for index, (key, _) in enumerate(batch):
            if key not in last_recorded or record.append_us - last_recorded[key] >= W:
                expected.add((1, 0, record.offset, index))
                last_recorded[key] = record.append_us
    assert set(store.events) == expected
    assert store.rows() == clean_pass(log, result)


@settings(max_examples=30)
@given(batches_, batches_, st.integers(1, 4), st.integers(1, 4), st.data())
def test_invariant_2_and_3_hold_across_generations_whatever_their_partitions(before, after, one, other, data):
    """A change of generation: the old one is metered to its ends, by whoever and however often, before the new one is
    begun."""
    result, store, log = catalog(None), Store(), []
    counted = set()
    for generation, batches, partitions in ((1, before, one), (2, after, other)):
        offsets = dict.fromkeys(range(partitions), 0)
        for events in batches:
            parts: dict[int, list[Any]] = {}
            for key, body in events:
                item = event(key, body)
                parts.setdefault(partition_of(item.identity, partitions), []).append(item)
                counted.add(key)
            for partition, items in parts.items():
                value = decode_batch(encode_batch("default", 2, items))
                log.append(Record(generation, partition, offsets[partition], len(log) * MS, value))
                offsets[partition] += 1
        for partition in range(partitions):
            own_items = [record for record in log if (record.generation, record.partition) == (generation, partition)]
            for start in (0, data.draw(st.integers(0, len(own_items)))):
                memory = PartitionMemory(generation, partition, start, store.filters())
                if start <= store.cursors.get((generation, partition), 0):
                    store.write(meter(store, memory, own_items[start:], log, result))
    firsts: dict[str, Any] = {}
    for record in log:
        for index, key in enumerate(record.batch.idempotency_keys):
            firsts.setdefault(key, (record.generation, record.partition, record.offset, index))
    assert set(store.events) == set(firsts.values())
    assert len(store.events) == len(counted)


@given(st.integers(60, 5 * 86_400), st.integers(0, 7_200), st.data())
def test_invariant_4_whenever_both_copies_are_acceptable_the_second_is_within_the_window(
    age: int, skew: int, data: st.DataObject
) -> None:
    """As early and as late as acceptance allows, and with a broker whose clock is half a day off the gateway's, either
    way."""
    stamp = 1_790_000_000
    rules = Namespace(code="n", max_event_age_seconds=age, max_event_skew_seconds=skew)
    raw = RawEvent(event_name="e", account_id="a", idempotency_key="k", timestamp=instant(stamp * SECOND))
    arrivals = sorted(stamp + data.draw(st.integers(-skew, age) | st.sampled_from([-skew, age])) for _ in range(2))
    off = st.sampled_from([0, MS - DAY // 2, DAY // 2 - MS])
    log = []
    for offset, at in enumerate(arrivals):
        accepted_accept = accept("n", rules, [raw], now_us=at * SECOND, mint_key=str, types=NO_TYPES)
        value = encode_batch("n", 2, accepted_accept)
        log.append(Record(1, 0, offset, at * SECOND + data.draw(off), decode_batch(value)))
    for at in (stamp - skew - 1, stamp + age + 1):
        with pytest.raises(Refused):
            accept("n", rules, [raw], now_us=at * SECOND, mint_key=str, types=NO_TYPES)
    memory = Store().memory()
    window = window_us(age, skew)
    assert list(memory.decide(log[0], window, {}).counted) == [0]
    assert [item.first.offset for item in memory.decide(log[1], window, {}).dropped] == [0]


def test_invariant_4_for_ever_where_the_age_is_lifted():
    assert window_us(None, 3600) is None
    log = log_of([[(1, 0)], [(1, 0)]], [0, 24 * 365 * 90])
    memory = Store().memory()
    assert list(memory.decide(log[0], None, {}).counted) == [0]
    assert list(memory.decide(log[1], None, {}).counted) == []
