"""What lies between two cuts, also where a generation began in between."""

from __future__ import annotations

from schemas.clickhouse.binder import Binder
from stream_processors.rollup.slices import between, in_slice


def test_partitions_of_every_generation_are_in_the_slice_that_holds_them() -> None:
    previous_document = {(1, 0): 5, (1, 1): 7}
    later_document = {(1, 0): 9, (1, 1): 7, (2, 0): 3, (2, 1): 0}
    assert between(previous_document, later_document) == {(1, 0): (5, 9), (2, 0): (0, 3)}
    assert between({}, later_document) == {(1, 0): (0, 9), (1, 1): (0, 7), (2, 0): (0, 3)}
    assert between(later_document, later_document) == {}
    bind = Binder()
    assert in_slice(between(previous_document, later_document), bind).count("generation = ") == 2
    assert [bind.parameters[f"slice_0_{name}"] for name in ("generation", "partition", "start", "end")] == [1, 0, 5, 9]
    assert [bind.parameters[f"slice_1_{name}"] for name in ("generation", "partition", "start", "end")] == [2, 0, 0, 3]
