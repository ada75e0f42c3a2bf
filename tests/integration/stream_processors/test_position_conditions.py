"""Conditions on positions in usage.events, on the engine itself: for which positions each of them holds."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.client import connect
from schemas.clickhouse.positions import (
    PositionRange,
    at_events,
    at_record,
    in_partition,
    in_range,
    in_ranges,
    in_records,
    position_below,
    position_beyond,
)
from schemas.settings import Settings

_PARTITION_NUMBERS = (0, 1, 2**32 - 1)
_OFFSET_NUMBERS = (0, 1, 2, 3, 2**63 - 1, 2**63)
_ALL = list(itertools.product((1, 2), _PARTITION_NUMBERS, _OFFSET_NUMBERS, (0, 1)))
_PARTITIONS = st.tuples(st.sampled_from((1, 2)), st.sampled_from(_PARTITION_NUMBERS))
_OFFSETS = st.sampled_from(_OFFSET_NUMBERS)
_RANGES = st.tuples(_PARTITIONS, _OFFSETS, _OFFSETS).map(lambda each: PositionRange(*each[0], *each[1:]))


def test_each_condition_holds_for_exactly_its_positions(settings: Settings) -> None:
    """Also with a prefix, for no position and no range at all, and next to the greatest numbers."""
    client = connect(settings)

    @examples(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        st.lists(st.sampled_from(_ALL), max_size=4), st.lists(_RANGES, max_size=3),
        _RANGES, st.dictionaries(_PARTITIONS, _OFFSETS, max_size=3), st.sampled_from(["", "void_"]),
    )  # fmt: skip
    def check(
        listed: list[tuple[int, int, int, int]],
        ranges: list[PositionRange],
        offsets: PositionRange,
        cut: dict[tuple[int, int], int],
        prefix: str,
    ) -> None:
        bind = Binder()
        place = (offsets.generation, offsets.partition)
        record = (*place, offsets.start)
        records = [position[:3] for position in listed]
        conditions = [
            in_partition(*place, bind, "partition", prefix),
            at_record(record, bind, prefix=prefix),
            in_range(offsets, bind, prefix=prefix),
            in_ranges(ranges, bind, "ranges", prefix),
            position_below(cut, bind, prefix=prefix),
            f"NOT {position_below(cut, bind, prefix=prefix)}",
            position_beyond(cut, bind),
            in_records(records, bind),
            at_events(listed, bind),
        ]
        position = "at.1 AS {0}generation, at.2 AS {0}partition, at.3 AS {0}offset"
        kinds = "Array(Tuple(UInt32, UInt32, UInt64, UInt32))"
        answers = client.query(
            f"SELECT {', '.join(conditions)} FROM (SELECT {position.format('')}, {position.format('void_')},"
            f" at.4 AS `index` FROM (SELECT arrayJoin({bind('rows', kinds, _ALL)}) AS at))",
            parameters=bind.parameters,
        ).result_rows

        def holds(row: tuple[int, int, int, int]) -> tuple[bool, ...]:
            below = row[2] < cut.get(row[:2], 0)
            within = [row[:2] == each[:2] and each.start <= row[2] < each.end for each in (offsets, *ranges)]
            return (
                row[:2] == place, row[:3] == record, within[0], any(within[1:]), below, not below, not below,
                row[:3] in records, row in listed,
            )  # fmt: skip

        assert [tuple(map(bool, answer)) for answer in answers] == [holds(row) for row in _ALL]

    check()
