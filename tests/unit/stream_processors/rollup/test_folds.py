"""Which checkpoints end a fold: a function of the ledger alone, that what comes later never changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import SECOND
from stream_processors.rollup.folds import fold_ends

HOUR = 3600 * SECOND


def cuts(*instants: int, backfills: frozenset[int] = frozenset()) -> list[Cut]:
    return [
        Cut(number, {}, 0, at, "n/m/1#1" if number in backfills else "") for number, at in enumerate(instants, start=1)
    ]


def test_the_last_of_each_hour_ends_one_once_the_next_hour_has_begun() -> None:
    assert list(fold_ends(cuts(0, 1, HOUR - 1))) == []
    assert list(fold_ends(cuts(0, 1, HOUR - 1, HOUR))) == [3]
    assert list(fold_ends(cuts(0, HOUR, 3 * HOUR, 3 * HOUR + 1))) == [1, 2]


def test_a_backfill_ends_one() -> None:
    assert list(fold_ends(cuts(0, 1, 2, 3, backfills=frozenset({2})))) == [2]


@given(
    st.lists(st.integers(0, 5 * HOUR), max_size=20).map(sorted), st.frozensets(st.integers(1, 20)), st.integers(0, 20)
)
def test_they_stay_as_the_ledger_grows(instants: list[int], backfills: frozenset[int], known: int) -> None:
    every = cuts(*instants, backfills=backfills)
    ends = list(fold_ends(every))
    early = list(fold_ends(every[:known]))
    assert early == [end for end in ends if end < min(known, len(every))]
    for after in range(len(every) + 1):
        assert list(fold_ends(every, after)) == [end for end in ends if end > after]
