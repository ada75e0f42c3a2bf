"""SQL conditions on positions in usage.events: a record's (generation, partition, offset), an event's with its index.
Pure.

Ranges are half-open, and every number is bound. ``name`` begins the names of a condition's placeholders, so several
can stand in one statement; ``prefix`` begins the columns' names, e.g. ``void_``. What verifies has conditions of its
own (``rating.verify.scope``), which share nothing with these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from schemas.clickhouse.binder import Binder
from schemas.ledgers.generations import Offsets

RECORD: Final = "(generation, partition, offset)"
"""The position of a record, as a tuple of columns."""
EVENT: Final = "(generation, partition, offset, `index`)"
"""The position of an event, as a tuple of columns."""
_NOWHERE: Final = "false"


class PositionRange(NamedTuple):
    """Offsets [start, end) of a partition."""

    generation: int
    partition: int
    start: int
    end: int


def in_partition(generation: int, partition: int, bind: Binder, name: str = "at", prefix: str = "") -> str:
    """A condition: the position lies in the partition."""
    return (
        f"{prefix}generation = {bind(f'{name}_generation', 'UInt32', generation)}"
        f" AND {prefix}partition = {bind(f'{name}_partition', 'UInt32', partition)}"
    )


def at_record(position: tuple[int, int, int], bind: Binder, name: str = "at", prefix: str = "") -> str:
    """A condition: the position is this one, or in this record."""
    generation, partition, offset = position
    return (
        f"{in_partition(generation, partition, bind, name, prefix)}"
        f" AND {prefix}offset = {bind(f'{name}_offset', 'UInt64', offset)}"
    )


def in_range(offsets: PositionRange, bind: Binder, name: str = "range", prefix: str = "") -> str:
    """A condition: the position lies in the range."""
    return (
        f"{in_partition(offsets.generation, offsets.partition, bind, name, prefix)}"
        f" AND {prefix}offset >= {bind(f'{name}_start', 'UInt64', offsets.start)}"
        f" AND {prefix}offset < {bind(f'{name}_end', 'UInt64', offsets.end)}"
    )


def in_ranges(ranges: Iterable[PositionRange], bind: Binder, name: str = "range", prefix: str = "") -> str:
    """A condition: the position lies in one of the ranges; of none, it does not."""
    conditions = [
        f"({in_range(offsets, bind, f'{name}_{number}', prefix)})" for number, offsets in enumerate(sorted(ranges))
    ]
    return f"({' OR '.join(conditions)})" if conditions else _NOWHERE


def in_records(positions: Sequence[tuple[int, int, int]], bind: Binder, name: str = "records") -> str:
    """A condition: the position lies in one of the records. ClickHouse takes about 3,000 at most: a bound value has at
    most 128 KiB."""
    listed = bind(name, "Array(Tuple(UInt32, UInt32, UInt64))", list(positions))
    return f"{RECORD} IN (SELECT arrayJoin({listed}))"


def at_events(positions: Sequence[tuple[int, int, int, int]], bind: Binder, name: str = "events") -> str:
    """A condition: the position is one of these. ClickHouse takes about 3,000 at most: a bound value has at most 128
    KiB."""
    return (
        f"{EVENT} IN (SELECT arrayJoin({bind(name, 'Array(Tuple(UInt32, UInt32, UInt64, UInt32))', list(positions))}))"
    )


def position_below(offsets: Offsets, bind: Binder, name: str = "cut", prefix: str = "") -> str:
    """A condition: the position lies below ``offsets``; where these lack its partition, it does not."""
    if not offsets:
        return f"({prefix}offset < 0)"
    items = sorted(offsets.items())
    keys = [(generation << 32) + partition for (generation, partition), _ in items]
    ends = [end for _, end in items]
    return (
        f"({prefix}offset < transform(bitShiftLeft(toUInt64({prefix}generation), 32) + {prefix}partition,"
        f" {bind(f'{name}_partitions', 'Array(UInt64)', keys)},"
        f" {bind(f'{name}_offsets', 'Array(UInt64)', ends)}, toUInt64(0)))"
    )


def position_beyond(offsets: Offsets, bind: Binder, name: str = "beyond") -> str:
    """The opposite condition of ``position_below``, in such terms that the key of a table that positions order finds
    its rows: only what lies beyond is read."""
    generations: dict[int, list[tuple[int, int]]] = {}
    for (generation, partition), end in sorted(offsets.items()):
        generations.setdefault(generation, []).append((partition, end))
    ranges = []
    for generation, ends in generations.items():
        at = f"{name}_{generation}"
        of_partitions = [
            f"partition = {bind(f'{at}_{partition}', 'UInt32', partition)}"
            f" AND offset >= {bind(f'{at}_{partition}_end', 'UInt64', end)}"
            for partition, end in ends
        ]
        others = f"partition NOT IN {bind(f'{at}_partitions', 'Array(UInt32)', [partition for partition, _ in ends])}"
        within = " OR ".join([*(f"({condition})" for condition in of_partitions), others])
        ranges.append(f"(generation = {bind(at, 'UInt32', generation)} AND ({within}))")
    ranges.append(f"generation NOT IN {bind(f'{name}_generations', 'Array(UInt32)', list(generations))}")
    return f"({' OR '.join(ranges)})" if offsets else "true"
