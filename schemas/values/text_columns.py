"""Columns of strings stored as concatenated bytes, so that they pass from the log to the insert without one Python
object per string."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from struct import pack
from typing import Final

import numpy as np
from numpy.typing import NDArray

LENGTH: Final = np.dtype("<u4")


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """String ``i`` is ``data[offsets[i]:offsets[i + 1]]`` in UTF-8; ``offsets``: int32, one more than there are
    strings."""

    data: bytes
    offsets: NDArray[np.int32]

    @classmethod
    def of(cls, values: Sequence[str]) -> Texts:
        """The column of these strings."""
        data, lengths = packed(values)
        return cls.unpacked(data, lengths)

    @classmethod
    def unpacked(cls, data: bytes, lengths: bytes) -> Texts:
        """From what ``packed`` made. Raises ValueError where lengths and data disagree, or a string is not UTF-8."""
        if len(lengths) % LENGTH.itemsize:
            raise ValueError(f"{len(lengths)} bytes are no whole number of lengths")
        sizes = np.frombuffer(lengths, LENGTH)
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        if offsets[-1] != len(data):
            raise ValueError(f"the lengths add up to {offsets[-1]} bytes, the text has {len(data)}")
        column = cls(data, offsets.astype(np.int32))
        if not data.isascii():
            for piece in column.pieces():
                piece.decode()
        return column

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return self.data[self.offsets[index] : self.offsets[index + 1]].decode()

    def __iter__(self) -> Iterator[str]:
        return (piece.decode() for piece in self.pieces())

    def pieces(self) -> list[bytes]:
        """Every string as bytes."""
        data, bounds = self.data, self.offsets.tolist()
        return [data[start:end] for start, end in pairwise(bounds)]


def packed(values: Sequence[str]) -> tuple[bytes, bytes]:
    """(the strings in UTF-8 end to end, the length of each in bytes as unsigned 32 bit little-endian)."""
    joined = "".join(values)
    if joined.isascii():
        return joined.encode(), pack(f"<{len(values)}I", *map(len, values))
    return packed_bytes([value.encode() for value in values])


def packed_bytes(values: Sequence[bytes]) -> tuple[bytes, bytes]:
    """As ``packed``, of strings that are UTF-8 already."""
    return b"".join(values), pack(f"<{len(values)}I", *map(len, values))
