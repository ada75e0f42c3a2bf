"""Conditions on positions as text: what is bound, and under which names. ``test_position_conditions`` asks an engine
which positions they hold for."""

from __future__ import annotations

import re

import pytest

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import (
    PositionRange,
    at_events,
    at_record,
    in_partition,
    in_range,
    in_ranges,
    in_records,
    position_below,
)


def test_a_range_is_half_open_and_bound() -> None:
    bind = Binder()
    assert in_range(PositionRange(2, 3, 5, 9), bind, "gap", "void_") == (
        "void_generation = {gap_generation:UInt32} AND void_partition = {gap_partition:UInt32}"
        " AND void_offset >= {gap_start:UInt64} AND void_offset < {gap_end:UInt64}"
    )
    assert bind.parameters == {"gap_generation": 2, "gap_partition": 3, "gap_start": 5, "gap_end": 9}


def test_conditions_of_one_statement_share_no_placeholder() -> None:
    bind = Binder()
    conditions = [
        in_partition(1, 0, bind, "partition"),
        at_record((1, 0, 5), bind),
        in_range(PositionRange(1, 0, 5, 9), bind),
        in_ranges([PositionRange(2, 0, 0, 3), PositionRange(1, 1, 5, 7)], bind, "slice"),
        in_records([(1, 0, 5)], bind),
        at_events([(1, 0, 5, 2)], bind),
        position_below({(1, 0): 9}, bind),
        position_below({(1, 0): 7}, bind, "as_of"),
    ]
    placeholders = [re.findall(r"\{(\w+):", condition) for condition in conditions]
    assert sorted(name for names in placeholders for name in names) == sorted(bind.parameters)


def test_of_no_range_nothing_is_in_one() -> None:
    assert in_ranges([], Binder()) == "false"
    assert position_below({}, Binder(), prefix="void_") == "(void_offset < 0)"


def test_a_name_holds_one_value() -> None:
    bind = Binder({"at": 1})
    assert bind("at", "UInt32", 1) == "{at:UInt32}"
    with pytest.raises(ValueError, match="two values are bound to at: 1 and 2"):
        bind("at", "UInt32", 2)
