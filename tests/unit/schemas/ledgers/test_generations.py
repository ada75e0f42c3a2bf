"""The fold of generation changes: one writable generation at most, in one order, whoever else wants to change it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.kafka.codec import codec
from schemas.ledgers.generations import Generation, Generations, GenerationState, open_record, sealing_record


def changed(*records: dict[str, Any]) -> GenerationState:
    fold = Generations()
    for record in records:
        assert fold.apply(record)
    return fold.state


def test_a_stack_begins_with_the_generation_of_its_settings() -> None:
    state = GenerationState()
    assert state.writable(1) == Generation(1)
    assert state.writable(3) == Generation(3)
    assert (list(state.known(3)), state.to_meter(3, {})) == ([3], 3)


def test_sealed_then_open_and_metered_in_order() -> None:
    sealing = sealing_record(GenerationState(), 1, 8, "a")
    state = changed(sealing)
    assert (state.writable(1), state.newest(1), state.following) == (None, Generation(1), Generation(2, 8))
    assert state.to_meter(1, {(1, 0): 99}) == 1
    opening = open_record(state, (3, 0), "b")
    state = changed(sealing, opening)
    assert (state.writable(1), list(state.known(1))) == (Generation(2, 8), [1, 2])
    assert state.to_meter(1, {}) == 1
    assert state.to_meter(1, {(1, 0): 2}) == 1
    # A partition that never had a record has no progress, and needs none.
    assert state.to_meter(1, {(1, 0): 3}) == 2
    going_on = Generations(state)
    assert not going_on.apply(opening)
    assert not going_on.apply(sealing_record(GenerationState(), 1, 2, "c"))
    assert going_on.apply(sealing_record(state, 1, 2, "c"))
    state = changed(sealing, opening, repeated_sealing_record := sealing_record(state, 1, 2, "c"))
    assert going_on.state == state
    assert state.following == Generation(3, 2)
    state = changed(sealing, opening, repeated_sealing_record, open_record(state, (1,) * 8, "d"))
    assert state.writable(1) == Generation(3, 2)
    assert state.to_meter(1, {(1, 0): 3}) == 2


MOVES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["read", "seal", "open"]), st.integers(1, 4)), max_size=40
)


@given(MOVES)
def test_competing_changes_give_one_sequence_that_every_follower_sees(moves: list[tuple[int, str, int]]) -> None:
    log: list[dict[str, Any]] = []
    followers = [Generations() for _ in range(3)]
    read = [0, 0, 0]
    truth = Generations()
    for who, move, number in moves:
        state = followers[who].state
        if move == "read":
            for record in log[read[who] : read[who] + number]:
                followers[who].apply(record)
            read[who] = min(len(log), read[who] + number)
            continue
        if move == "seal":
            record = sealing_record(state, 1, number, str(len(log)))
        elif state.following is not None:
            record = open_record(state, (number,), str(len(log)))
        else:
            continue
        previous_state = truth.state
        log.append(record)
        if truth.apply(record):
            later_state = truth.state
            assert later_state.version == previous_state.version + 1
            assert (previous_state.writable(1) is None) != (later_state.writable(1) is None)
            assert list(later_state.known(1)) == list(range(1, later_state.newest(1).number + 1))
            assert all(later_state.ends[key] == ends for key, ends in previous_state.ends.items())
        else:
            assert truth.state == previous_state
    for who, follower in enumerate(followers):
        for record in log[read[who] :]:
            follower.apply(record)
        assert follower.state == truth.state


def test_foreign_bodies_are_void_and_leave_no_hole() -> None:
    fold = Generations()
    good = sealing_record(GenerationState(), 1, 8, "a")
    for body in ("{", "[]", "{}", json.dumps({"state": "open", "generation": 2, "partitions": 8, "ends": [1]}),
                 json.dumps({"state": "sealing", "generation": 1, "partitions": 0})):  # fmt: skip
        assert not fold.apply(good | {"body": body})
    assert fold.apply(good)
    assert not fold.apply(good)
    assert not fold.apply(open_record(GenerationState(1, Generation(1), Generation(2, 4)), (1,), "b"))
    assert not fold.apply(open_record(fold.state, (), "b"))


def test_a_change_is_no_entry_of_the_catalog_and_moves_its_offset() -> None:
    catalog = Catalog()
    catalog.apply(record_of("n", Namespace(code="n"), kind="namespace", version=1, author="", claim_id="a"), 0, 0)
    record = codec("catalog_entry").decode(codec("catalog_entry").encode(sealing_record(GenerationState(), 1, 8, "a")))
    assert catalog.apply(record, 1, 0) is None
    assert (catalog.next_offset, catalog.generations.state.following) == (2, Generation(2, 8))
    assert catalog.namespaces() == ["default", "n"]
