"""DESIGN section 4 over the pure core: rows are a function of the log, however often and in whatever cuts it is
read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.identity import identity
from schemas.values.instants import DAY
from stream_processors.metering.bloom import DailyFilters, keys_of
from stream_processors.metering.dedupe import PartitionMemory
from stream_processors.metering.meter_records import Flush
from tests.unit.stream_processors.metering.builders import Store, catalog, clean_pass, log_of, meter

events_ = st.tuples(st.integers(0, 7), st.integers(0, 2))
batches_ = st.lists(st.lists(events_, min_size=1, max_size=6), min_size=1, max_size=12)
ages_ = st.sampled_from([None, 3600, 36 * 3600])


@given(batches_, ages_, st.data())
def test_first_position_wins_whatever_the_history(batches, age, data):
    """An independent, obvious statement of invariant 3 agrees with the worker."""
    hours = data.draw(st.lists(st.integers(0, 40), min_size=len(batches), max_size=len(batches)))
    log, result = log_of(batches, hours), catalog(age)
    events, duplicates, conflicts, sizes, cursors = clean_pass(log, result)
    window = None if age is None else age * 1_000_000 + DAY
    last_recorded: dict[int, tuple[int, int, int, int, int, int]] = {}
    for record, batch in zip(log, batches, strict=True):
        for index, (key, body) in enumerate(batch):
            position = (1, 0, record.offset, index)
            first_response = last_recorded.get(key)
            if first_response is None or (window is not None and first_response[4] <= record.append_us - window):
                assert position in events
                last_recorded[key] = (*position, record.append_us, body)
            elif first_response[5] == body or {first_response[5], body} == {0, 1}:
                assert duplicates[position] == first_response[:4]
            else:
                assert conflicts[position] == first_response[:4]
    assert cursors == {(1, 0): len(log)}
    assert list(sizes.values()) == [len(batch) for batch in batches]
    assert len(events) + len(duplicates) + len(conflicts) == sum(map(len, batches))


@given(batches_, ages_, st.data())
def test_crashes_between_any_two_steps_and_replays_change_nothing(batches, age, data):
    """Units cut anew, a crash after any step, memory rebuilt from nothing, few recents: same rows as one clean pass."""
    hours = data.draw(st.lists(st.integers(0, 40), min_size=len(batches), max_size=len(batches)))
    log, result = log_of(batches, hours), catalog(age)
    store = Store()
    memory = store.memory()
    crashes = 0
    while store.cursor < len(log):
        memory.recent_limit = data.draw(st.integers(0, 4))
        unit = log[memory.cursor : memory.cursor + data.draw(st.integers(1, 4))]
        flush = meter(store, memory, unit, log, result)
        step = data.draw(st.integers(0, 5)) if crashes < 8 else 5
        store.write(flush, step)
        if step < 5:
            crashes += 1
            memory = store.memory()
        else:
            memory.forget_durable(store.cursor)
    assert store.rows() == clean_pass(log, result)


moves_ = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 3), st.sampled_from([1, 2, 3, 5, 5, 5]), st.booleans()), max_size=25
)


@given(batches_, ages_, moves_)
def test_two_owners_at_once_write_the_same_rows(batches, age, moves):
    """A zombie goes on from its old state, any number of steps behind or ahead of the new owner."""
    log, result = log_of(batches, [7 * number % 31 for number in range(len(batches))]), catalog(age)
    store = Store()
    owners = [store.memory(), store.memory()]
    unwritten: list[Flush | None] = [None, None]
    for who, size, step, rebuilt in moves:
        if rebuilt:
            owners[who], unwritten[who] = store.memory(), None
        # An owner writes in order: a flush that failed half-way is written again before the next.
        flush = unwritten[who]
        if flush is None:
            unit = log[owners[who].cursor : owners[who].cursor + size]
            flush = meter(store, owners[who], unit, log, result)
        store.write(flush, step)
        unwritten[who] = flush if step < 5 else None
    last_memory = store.memory()
    store.write(meter(store, last_memory, log[last_memory.cursor :], log, result))
    assert store.rows() == clean_pass(log, result)


@settings(max_examples=50)
@given(batches_)
def test_filters_that_say_maybe_to_everything_change_nothing(batches):
    log, result = log_of(batches, [1] * len(batches)), catalog(None)

    class Always(DailyFilters):
        def maybe(self, keys):
            return super().maybe(keys) | True

    store = Store()
    memory = PartitionMemory(1, 0, 0, Always())
    memory.recent_limit = 0
    for record in log:
        store.write(meter(store, memory, [record], log, result))
        memory.forget_durable(store.cursor)
    assert store.rows() == clean_pass(log, result)


def test_a_record_off_the_cursor_is_refused():
    log = log_of([[(1, 0)], [(2, 0)]], [1, 1])
    memory = Store().memory()
    with pytest.raises(ValueError, match="not at the cursor"):
        memory.decide(log[1], None, {})


@given(st.sets(st.binary(min_size=16, max_size=16), min_size=1, max_size=300), st.integers(0, 3))
def test_filters_never_forget(names, day):
    filters = DailyFilters()
    for name in names:
        filters.add(day, keys_of(name))
    assert filters.maybe(keys_of(b"".join(names))).all()


def test_filters_prove_almost_every_new_identity_new():
    filters = DailyFilters()
    observed_join = b"".join(identity("n", "", str(number)) for number in range(100_000))
    for start in range(0, len(observed_join), 16 * 9_999):
        filters.add(0, keys_of(observed_join[start : start + 16 * 9_999]))
    fresh = keys_of(b"".join(identity("n", "", f"new {number}") for number in range(20_000)))
    assert filters.maybe(keys_of(observed_join)).all()
    assert filters.maybe(fresh).mean() < 0.005
