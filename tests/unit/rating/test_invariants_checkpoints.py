"""DESIGN section 4, invariants 7 and 8, one property each: what was said as of a checkpoint stays said."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.usage.query import split
from schemas.ledgers.checkpoints import Checkpoints, Cut, cut_record, next_cut

Place = tuple[int, int]
"""(partition, offset) of generation 1."""


def below(places: Iterable[Place], cut: Cut) -> set[Place]:
    return {(partition, offset) for partition, offset in places if offset < cut.offsets.get((1, partition), 0)}


class Cutter:
    """A process that cuts: it knows the ledger up to somewhere, and progress as it was when it looked."""

    def __init__(self) -> None:
        self.fold, self.read, self.progress = Checkpoints(), 0, dict[tuple[int, int], int]()


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["meter", "look", "read", "cut", "roll up"])),
        min_size=25,
        max_size=60,
    )
)
def test_invariant_7_competing_cuts_give_one_sequence_and_what_stood_as_of_one_never_changes(
    moves: list[tuple[int, str]],
) -> None:
    """Three writers of cuts, each with old knowledge of its own; roll-ups that are done again whenever it pleases."""
    ledger: list[dict[str, Any]] = []
    truth = Checkpoints()
    progress: dict[tuple[int, int], int] = {}
    cutters = [Cutter() for _ in range(3)]
    windows: dict[int, set[Place]] = {}  # checkpoint → the places that its windows roll up
    as_of: dict[int, set[Place]] = {}

    def places() -> set[Place]:
        return {(partition, offset) for (_, partition), end in progress.items() for offset in range(end)}

    for who, move in moves:
        cutter = cutters[who]
        if move == "meter":
            progress[(1, who)] = progress.get((1, who), 0) + 1
        elif move == "look":
            cutter.progress = dict(progress)
        elif move == "read":
            for record in ledger[cutter.read :]:
                cutter.fold.apply(record)
            cutter.read = len(ledger)
        elif move == "cut":
            expected = next_cut(cutter.fold.last, cutter.progress, 0, len(ledger)) if cutter.progress else None
            if expected is not None:
                ledger.append(cut_record(expected, str(len(ledger))))
                established = truth.apply(ledger[-1])
                if established is not None:
                    assert isinstance(established, Cut)
                    assert all(end <= progress[key] for key, end in established.offsets.items())
                    as_of[established.number] = below(places(), established)
        elif truth.cuts:
            number = 1 + who % len(truth.cuts)
            rolled = {
                item
                for (_, partition), (start, end) in truth.slice(number).items()
                for item in places()
                if item[0] == partition and start <= item[1] < end
            }
            assert windows.setdefault(number, rolled) == rolled
    assert [cut.number for cut in truth.cuts] == list(range(1, len(truth.cuts) + 1))
    for cutter in cutters:
        for record in ledger[cutter.read :]:
            cutter.fold.apply(record)
        assert cutter.fold.cuts == truth.cuts
    for number, previous in as_of.items():
        assert below(places(), truth.cut(number)) == previous
        slices = [
            (partition, offset)
            for result in range(1, number + 1)
            for (_, partition), (start, end) in truth.slice(result).items()
            for offset in range(start, end)
        ]
        assert len(slices) == len(set(slices))
        assert set(slices) == previous


Event = tuple[int, int, int]
"""(timestamp, value, slice) of an event; its number in the list is its key."""


Fold = tuple[int, int, int | None, int | None, tuple[int, int, int] | None, frozenset[int]]


def fold(events: Iterable[tuple[int, Event]]) -> Fold:
    """count, sum, max, min, latest, unique."""
    items = list(events)
    values = [event[1] for _, event in items]
    latest = max(((event[0], key, event[1]) for key, event in items), default=None)
    return len(values), sum(values), max(values, default=None), min(values, default=None), latest, frozenset(values)


def merged(parts: Iterable[Fold]) -> Fold:
    count, total, high, low, latest, unique = fold(())
    for part in parts:
        count, total, unique = count + part[0], total + part[1], unique | part[5]
        high = max((item for item in (high, part[2]) if item is not None), default=None)
        low = min((item for item in (low, part[3]) if item is not None), default=None)
        latest = max((item for item in (latest, part[4]) if item is not None), default=None)
    return count, total, high, low, latest, unique


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(-5, 5), st.integers(1, 5)), max_size=25),
    st.lists(st.integers(0, 99), min_size=2, max_size=5, unique=True),
    st.sampled_from([1, 7, 10, 24]),
    st.integers(0, 5),
)
def test_invariant_8_windows_with_ragged_edges_and_the_tail_give_what_the_records_give(
    events: list[Event], bounds: list[int], size: int, rolled_up: int
) -> None:
    """All six aggregations; windows of every slice up to ``rolled_up``, records for the edges and for what came
    later."""
    bounds = sorted(bounds)
    numbered = list(enumerate(events))
    windows: dict[tuple[int, int], list[tuple[int, Event]]] = {}
    for key, event in numbered:
        if event[2] <= rolled_up:
            windows.setdefault((event[0] // size * size, event[2]), []).append((key, event))
    full_split, ragged = split(list(itertools.pairwise(bounds)), size)
    parts = [
        fold(content)
        for (start, _), content in windows.items()
        if any(low <= start and start + size <= high for low, high in full_split)
    ]
    parts += [
        fold([(key, event)])
        for key, event in numbered
        if any(low <= event[0] < high for low, high in ragged)
        or (event[2] > rolled_up and any(low <= event[0] < high for low, high in full_split))
    ]
    assert merged(parts) == fold((key, event) for key, event in numbered if bounds[0] <= event[0] < bounds[-1])
