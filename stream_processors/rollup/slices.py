"""Slices of usage.events as conditions on the columns of a position. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.clickhouse.client import Parameters
from schemas.ledgers.checkpoints import Offsets

Slice = Mapping[tuple[int, int], tuple[int, int]]
"""(generation, partition) → [from, next)."""


def between(start_offsets: Offsets, end_offsets: Offsets) -> dict[tuple[int, int], tuple[int, int]]:
    """What lies between two cuts, empty ranges left out."""
    ranges = {key: (start_offsets.get(key, 0), end) for key, end in end_offsets.items()}
    return {key: (start, end) for key, (start, end) in ranges.items() if start < end}


def slice_sql(ranges: Slice) -> tuple[str, Parameters]:
    """The condition that a row's position lies in a slice, and its parameters."""
    conditions = []
    parameters: Parameters = {}
    for number, ((generation, partition), (start, end)) in enumerate(sorted(ranges.items())):
        conditions.append(
            f"(generation = {{g{number}:UInt32}} AND partition = {{p{number}:UInt32}} "
            f"AND offset >= {{a{number}:UInt64}} AND offset < {{b{number}:UInt64}})"
        )
        parameters |= {f"g{number}": generation, f"p{number}": partition, f"a{number}": start, f"b{number}": end}
    return "(" + " OR ".join(conditions) + ")", parameters
