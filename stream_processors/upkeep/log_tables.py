"""Builds the Arrow tables of what became of the usage.events log: offsets given up, records carried over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from schemas.ledgers.given_up import OffsetRange

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_STRING: Final = pa.string()


def carried_table(carried: Mapping[int, Sequence[int]]) -> pa.Table:
    """The Arrow table of usage_carried, from generation → next offset by partition."""
    rows = [(number, partition, end) for number, ends in carried.items() for partition, end in enumerate(ends) if end]
    return pa.table(
        {
            "generation": pa.array([number for number, *_ in rows], pa.uint32()),
            "partition": pa.array([partition for _, partition, _ in rows], pa.uint32()),
            "next_offset": pa.array([end for *_, end in rows], pa.uint64()),
        }
    )


def given_up_table(ranges: Sequence[OffsetRange]) -> pa.Table:
    """The Arrow table of usage_given_up: for each range one row per namespace with known losses, and one with an
    empty namespace."""
    rows = [
        # A range may be given up several times, as more of its lost events become known; the counts are summed.
        (range_, name, sum((same.events or {}).get(name, 0) for same in ranges if _offsets(same) == _offsets(range_)))
        for range_ in ranges
        for name in (*(range_.events or {}), "")
    ]
    return pa.table(
        {
            "generation": pa.array([range_.generation for range_, *_ in rows], pa.uint32()),
            "partition": pa.array([range_.partition for range_, *_ in rows], pa.uint32()),
            "from_offset": pa.array([range_.start for range_, *_ in rows], pa.uint64()),
            "next_offset": pa.array([range_.end for range_, *_ in rows], pa.uint64()),
            "namespace": pa.array([name for _, name, _ in rows], _STRING),
            "events": pa.array([count for *_, count in rows], pa.uint64()),
            "reason": pa.array([range_.reason for range_, *_ in rows], _STRING),
            "author": pa.array([range_.author for range_, *_ in rows], _STRING),
            "given_up_at": pa.array([range_.given_up_us for range_, *_ in rows], _INSTANT),
        }
    )


def _offsets(range_: OffsetRange) -> tuple[int, int, int, int]:
    return range_.generation, range_.partition, range_.start, range_.end
