"""Slices of usage.events (offset ranges between two cuts) as SQL conditions. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.clickhouse.client import Parameters
from schemas.ledgers.generations import Offsets

Slice = Mapping[tuple[int, int], tuple[int, int]]
"""(generation, partition) → half-open offset range [start, end)."""


def between(start_offsets: Offsets, end_offsets: Offsets) -> dict[tuple[int, int], tuple[int, int]]:
    """The offset ranges between two cuts, without empty ones."""
    ranges = {key: (start_offsets.get(key, 0), end) for key, end in end_offsets.items()}
    return {key: (start, end) for key, (start, end) in ranges.items() if start < end}


def slice_sql(ranges: Slice) -> tuple[str, Parameters]:
    """The SQL condition, with its parameters, that a row's position lies in the slice."""
    conditions = []
    parameters: Parameters = {}
    for number, ((generation, partition), (start, end)) in enumerate(sorted(ranges.items())):
        conditions.append(
            f"(generation = {{g{number}:UInt32}} AND partition = {{p{number}:UInt32}} "
            f"AND offset >= {{a{number}:UInt64}} AND offset < {{b{number}:UInt64}})"
        )
        parameters |= {f"g{number}": generation, f"p{number}": partition, f"a{number}": start, f"b{number}": end}
    return "(" + " OR ".join(conditions) + ")", parameters
