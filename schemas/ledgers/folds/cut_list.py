"""Checkpoints and the list of all of them, held in columns: a year has half a million, each of which takes 750 bytes as
an object and 60 here."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from schemas.ledgers.generations import Offsets


@dataclass(frozen=True, slots=True)
class Cut:
    """Checkpoint ``number``. Its slice is [offsets of checkpoint number − 1, offsets). ``as_of_us``: microseconds
    UTC; ``backfill``: name of the backfill it belongs to, "" for none."""

    number: int
    offsets: Offsets
    catalog_offset: int
    as_of_us: int
    backfill: str = ""


@dataclass(frozen=True, slots=True)
class PackedCuts:
    """Cuts in sequence that are of the same partitions: their next offsets, cut by cut, catalog offsets and instants,
    each as 64-bit integers of this machine. What backfills they belong to stands elsewhere."""

    partitions: tuple[tuple[int, int], ...]
    ends: bytes
    catalog_offsets: bytes
    instants: bytes


class CutList(Sequence[Cut]):
    """All cuts, in order of their numbers from 1 on. One thread appends, any reads."""

    def __init__(self) -> None:
        self.backfills: dict[int, str] = {}
        """Number → backfill, of those that belong to one."""
        self._partitions: list[tuple[tuple[int, int], ...]] = []
        self._ends = array("q")
        self._first_ends = array("q")
        self._catalog_offsets = array("q")
        self._instants = array("q")
        self._partitions_of = array("l")  # appended to last: as long as the list

    def append(self, cut: Cut) -> None:
        """Append the next one. Raises ValueError for any other number."""
        if cut.number != len(self) + 1:
            raise ValueError(f"checkpoint {cut.number} cannot follow {len(self)}")
        partitions = tuple(cut.offsets)
        if not self._partitions or self._partitions[-1] != partitions:
            self._partitions.append(partitions)
        if cut.backfill:
            self.backfills[cut.number] = cut.backfill
        self._first_ends.append(len(self._ends))
        self._ends.extend(cut.offsets.values())
        self._catalog_offsets.append(cut.catalog_offset)
        self._instants.append(cut.as_of_us)
        self._partitions_of.append(len(self._partitions) - 1)

    def packed(self, first: int, end: int) -> list[PackedCuts]:
        """The cuts [first, end), counted from 0."""
        packed = []
        while first < end:
            same = self._partitions_of[first]
            last = next((at for at in range(first, end) if self._partitions_of[at] != same), end)
            partitions, begin = self._partitions[same], self._first_ends[first]
            packed.append(
                PackedCuts(
                    partitions,
                    self._ends[begin : begin + (last - first) * len(partitions)].tobytes(),
                    self._catalog_offsets[first:last].tobytes(),
                    self._instants[first:last].tobytes(),
                )
            )
            first = last
        return packed

    def unpack(self, packed: Iterable[PackedCuts]) -> None:
        """Append what ``packed`` gave, but for the backfills. Raises ValueError for anything else."""
        for cuts in packed:
            ends, catalog_offsets, instants = array("q"), array("q"), array("q")
            ends.frombytes(cuts.ends)
            catalog_offsets.frombytes(cuts.catalog_offsets)
            instants.frombytes(cuts.instants)
            number, width = len(instants), len(cuts.partitions)
            if len(catalog_offsets) != number or len(ends) != number * width:
                raise ValueError(f"{number} cuts of {width} partitions have {len(ends)} ends")
            if not self._partitions or self._partitions[-1] != cuts.partitions:
                self._partitions.append(cuts.partitions)
            self._first_ends.extend(len(self._ends) + at * width for at in range(number))
            self._ends.extend(ends)
            self._catalog_offsets.extend(catalog_offsets)
            self._instants.extend(instants)
            self._partitions_of.extend([len(self._partitions) - 1] * number)

    def __len__(self) -> int:
        return len(self._partitions_of)

    @overload
    def __getitem__(self, index: int) -> Cut: ...

    @overload
    def __getitem__(self, index: slice) -> list[Cut]: ...

    def __getitem__(self, index: int | slice) -> Cut | list[Cut]:
        places = range(len(self))[index]
        return [self._cut(position) for position in places] if isinstance(places, range) else self._cut(places)

    def __iter__(self) -> Iterator[Cut]:
        return (self._cut(position) for position in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def _cut(self, position: int) -> Cut:
        partitions, first = self._partitions[self._partitions_of[position]], self._first_ends[position]
        ends = self._ends[first : first + len(partitions)]
        return Cut(
            position + 1,
            dict(zip(partitions, ends, strict=True)),
            self._catalog_offsets[position],
            self._instants[position],
            self.backfills.get(position + 1, ""),
        )
