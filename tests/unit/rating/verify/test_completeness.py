"""What is missing is told as ranges of offsets, with the command that mends each."""

from __future__ import annotations

import pytest

from rating.books import EventBooks
from rating.close.complete_rows import refusal
from rating.verify.completeness import NEIGHBOURS, joined_neighbours


def test_neighbours_are_one_range_and_partitions_are_not() -> None:
    rows = [((1, 0, 5), 6, "a"), ((1, 0, 7), 8, "a"), ((1, 0, 8 + NEIGHBOURS + 1), 900, "b"), ((1, 1, 3), 4, "a")]
    result = joined_neighbours(rows)
    assert [(item.partition, item.start, item.end, item.what) for item in result] == [
        (0, 5, 8, "a"),
        (0, 209, 900, "b"),
        (1, 3, 4, "a"),
    ]
    assert result[0].command == "weir replay --generation 1 --partition 0 --from 5 --to 8"


def test_a_close_that_refuses_names_the_commands() -> None:
    text = refusal(
        joined_neighbours(
            [((1, 0, number * 1000), number * 1000 + 1, "2 of 3 rows in usage_records") for number in range(8)]
        )
    )
    assert "`weir replay --generation 1 --partition 0 --from 0 --to 1`" in text
    assert "`weir replay --damaged`" in text
    assert "(and 3 more)" in text


@pytest.mark.parametrize(
    ("metered", "given_up", "lost", "balanced"),
    [(10, 0, 0, True), (9, 0, 0, False), (11, 0, 0, False), (9, 1, 0, True), (8, 1, 0, False), (11, 5, 0, False),
        (10, 0, 1, False), (10, 2, 0, True)],
)  # fmt: skip
def test_books_balance_only_where_nothing_acknowledged_is_missing(
    metered: int, given_up: int, lost: int, balanced: bool
) -> None:
    assert EventBooks("n", 3, 10, metered, 0, 0, 0, given_up=given_up, lost=lost).balanced is balanced
