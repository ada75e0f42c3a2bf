"""The fold of usage.checkpoints: cuts in one order that never go back, runs by whoever was first."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.kafka.codec import codec
from schemas.ledgers.checkpoints import Checkpoints, Cut, Run, cut_record, next_cut, run_record
from schemas.ledgers.folds.cut_list import CutList

OFFSETS = st.dictionaries(st.tuples(st.integers(1, 2), st.integers(0, 2)), st.integers(0, 9), max_size=4)
CUTS = st.builds(Cut, st.integers(0, 6), OFFSETS, st.integers(0, 5), st.integers(0, 100))
RUNS = st.builds(Run, st.sampled_from(["r1", "r2"]), st.integers(-1, 6), st.just(0), st.just(0), st.just({}))


def record(item: Cut | Run, claim: str = "c") -> dict[str, Any]:
    return cut_record(item, claim) if isinstance(item, Cut) else run_record(item, claim)


def cut(number: int, *ends: int, **extra: Any) -> Cut:
    return Cut(number, {(1, partition): end for partition, end in enumerate(ends)}, 0, 0, **extra)


def test_cuts_are_numbered_without_gaps_and_the_first_of_a_number_wins() -> None:
    fold = Checkpoints()
    assert fold.apply(record(cut(2, 5))) is None
    assert fold.apply(record(cut(1, 5, 7))) == cut(1, 5, 7)
    assert fold.apply(record(cut(1, 6, 7))) is None
    assert fold.apply(record(cut(1, 5, 7))) is None
    assert fold.apply(record(cut(3, 9, 9))) is None
    assert fold.apply(record(cut(2, 5, 9))) == cut(2, 5, 9)
    assert fold.last == cut(2, 5, 9)
    assert fold.slice(1) == {(1, 0): (0, 5), (1, 1): (0, 7)}
    assert fold.slice(2) == {(1, 1): (7, 9)}


@pytest.mark.parametrize("ends", [(4, 7), (5, 6), (5,), ()])
def test_a_cut_that_goes_back_or_leaves_a_partition_out_is_void(ends: tuple[int, ...]) -> None:
    fold = Checkpoints()
    fold.apply(record(cut(1, 5, 7)))
    assert fold.apply(record(cut(2, *ends))) is None
    assert fold.apply(record(cut(2, 5, 7, 3), "later")) == cut(2, 5, 7, 3)


def test_a_new_generation_begins_at_nothing() -> None:
    fold = Checkpoints()
    fold.apply(record(cut(1, 5)))
    second = Cut(2, {(1, 0): 5, (2, 0): 3}, 4, 9, "backfill-1")
    assert fold.apply(record(second)) == second
    assert fold.slice(2) == {(2, 0): (0, 3)}


def test_the_first_run_of_an_id_wins_and_names_a_cut_that_stands() -> None:
    fold = Checkpoints()
    assert fold.apply(record(Run("r", 1, 0, 0, {}))) is None
    fold.apply(record(cut(1, 5)))
    first_run = Run("r", 1, 2, 3, {"due": 5})
    assert fold.apply(record(first_run)) == first_run
    fold.apply(record(cut(2, 6)))
    assert fold.apply(record(Run("r", 2, 0, 0, {}))) is None
    assert fold.runs == {"r": first_run}
    assert fold.apply(record(Run("zero", 0, 0, 0, {}))) is None
    assert fold.apply(record(Run("beyond", 3, 0, 0, {}))) is None


@given(st.lists(st.one_of(CUTS, RUNS), max_size=25))
def test_every_cut_that_stands_follows_the_one_before(log: list[Cut | Run]) -> None:
    fold = Checkpoints()
    established = [item for item in log if fold.apply(record(item)) is not None]
    cuts = [item for item in established if isinstance(item, Cut)]
    assert fold.cuts == cuts
    assert [item.number for item in cuts] == list(range(1, len(cuts) + 1))
    for previous, later_item in itertools.pairwise(cuts):
        assert all(later_item.offsets.get(key, -1) >= end for key, end in previous.offsets.items())
    # Slices tile: summed up they are the last cut's offsets.
    covered: dict[tuple[int, int], int] = {}
    for item in cuts:
        for key, (start, end) in fold.slice(item.number).items():
            assert covered.get(key, 0) == start
            covered[key] = end
    assert covered == {key: end for key, end in (cuts[-1].offsets if cuts else {}).items() if end}


@given(st.lists(st.one_of(CUTS, RUNS), max_size=20))
def test_replaying_the_log_after_itself_changes_nothing(log: list[Cut | Run]) -> None:
    once, twice = Checkpoints(), Checkpoints()
    for item in log:
        once.apply(record(item))
        twice.apply(record(item))
        twice.apply(record(item, "retried"))
    assert (once.cuts, once.runs) == (twice.cuts, twice.runs)


@given(st.one_of(CUTS, RUNS))
def test_through_bytes_and_back(item: Cut | Run) -> None:
    decoded = codec("checkpoint").decode(codec("checkpoint").encode(record(item)))
    assert decoded == record(item)


@given(st.binary(max_size=40))
def test_foreign_bytes_are_void(noise: bytes) -> None:
    assert Checkpoints().apply_bytes(noise) is None


def test_a_run_whose_body_is_no_json_and_an_unknown_kind_are_void() -> None:
    fold = Checkpoints()
    fold.apply(record(cut(1, 5)))
    broken = record(Run("r", 1, 0, 0, {})) | {"body": "{"}
    assert fold.apply_bytes(codec("checkpoint").encode(broken)) is None
    assert fold.apply(broken | {"kind": "other"}) is None
    assert not fold.runs


def test_a_cut_that_does_not_exist_is_named() -> None:
    with pytest.raises(LookupError, match="no checkpoint 3; there are 0"):
        Checkpoints().cut(3)


@given(st.lists(OFFSETS, max_size=6))
def test_next_cut_is_always_valid_and_none_where_nothing_is_new(progresses: list[dict[tuple[int, int], int]]) -> None:
    fold = Checkpoints()
    for number, progress in enumerate(progresses):
        expected_next_cut = next_cut(fold.last, progress, 0, 100 - number)
        if expected_next_cut is None:
            assert fold.last is not None
            assert all(fold.last.offsets.get(key, 0) >= end for key, end in progress.items())
        else:
            assert fold.apply(record(expected_next_cut)) == expected_next_cut
            assert all(expected_next_cut.offsets[key] >= end for key, end in progress.items())
    assert [item.as_of_us for item in fold.cuts] == sorted(item.as_of_us for item in fold.cuts)


@given(st.lists(OFFSETS, max_size=6), st.sampled_from(["", "n/m/1#1"]), st.integers(-8, 8), st.integers(-8, 8))
def test_a_list_in_columns_is_the_list_of_its_cuts(
    offsets: list[dict[tuple[int, int], int]], backfill: str, low: int, high: int
) -> None:
    cuts = [
        Cut(number, ends, number * 7, -number, backfill if number % 2 else "") for number, ends in enumerate(offsets, 1)
    ]
    held = CutList()
    for item in cuts:
        held.append(item)
    assert (list(held), held[low:high], len(held)) == (cuts, cuts[low:high], len(cuts))
    assert held == cuts
    assert held.backfills == {item.number: item.backfill for item in cuts if item.backfill}
    assert [held[place] for place in range(-len(cuts), len(cuts))] == cuts * 2
    with pytest.raises(IndexError):
        held[len(cuts)]
    with pytest.raises(ValueError, match="cannot follow"):
        held.append(Cut(len(cuts) + 2, {}, 0, 0))
