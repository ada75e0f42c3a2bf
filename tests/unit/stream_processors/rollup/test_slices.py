"""What lies between two cuts, also where a generation began in between."""

from __future__ import annotations

from stream_processors.rollup.slices import between, slice_sql


def test_partitions_of_every_generation_are_in_the_slice_that_holds_them() -> None:
    previous_document = {(1, 0): 5, (1, 1): 7}
    later_document = {(1, 0): 9, (1, 1): 7, (2, 0): 3, (2, 1): 0}
    assert between(previous_document, later_document) == {(1, 0): (5, 9), (2, 0): (0, 3)}
    assert between({}, later_document) == {(1, 0): (0, 9), (1, 1): (0, 7), (2, 0): (0, 3)}
    assert between(later_document, later_document) == {}
    sql, parameters = slice_sql(between(previous_document, later_document))
    assert sql.count("generation = ") == 2
    assert parameters == {"g0": 1, "p0": 0, "a0": 5, "b0": 9, "g1": 2, "p1": 0, "a1": 0, "b1": 3}
