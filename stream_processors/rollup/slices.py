"""Slices of usage.events (offset ranges between two cuts) as SQL conditions. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.client import Parameters
from schemas.clickhouse.positions import PositionRange, in_ranges
from schemas.ledgers.generations import Offsets

Slice = Mapping[tuple[int, int], tuple[int, int]]
"""(generation, partition) → half-open offset range [start, end)."""


def between(start_offsets: Offsets, end_offsets: Offsets) -> dict[tuple[int, int], tuple[int, int]]:
    """The offset ranges between two cuts, without empty ones."""
    ranges = {key: (start_offsets.get(key, 0), end) for key, end in end_offsets.items()}
    return {key: (start, end) for key, (start, end) in ranges.items() if start < end}


def in_slice(ranges: Slice, bind: Binder) -> str:
    """The SQL condition that a row's position lies in the slice."""
    return in_ranges((PositionRange(*partition, *offsets) for partition, offsets in ranges.items()), bind, "slice")


def records_in(ranges: Slice) -> tuple[str, Parameters]:
    """The condition on usage_records that they lie in the slice and are no backfill's, and its parameters.

    No table is sorted by position, so the append times of the slice's batches prune older parts; the cost is
    proportional to the slice, not to the history.
    """
    bind = Binder()
    condition = in_slice(ranges, bind)
    return (
        f"""checkpoint = 0 AND {condition}
        AND append_time >= (SELECT min(append_time) FROM usage_batches WHERE {condition})
        AND append_time <= (SELECT max(append_time) FROM usage_batches WHERE {condition})""",
        bind.parameters,
    )
