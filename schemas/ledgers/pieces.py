"""Records of a ledger that are larger than a record may be: cut into pieces by their writer, put together by every
reader. Pure.

The pieces of one writing stand in one partition, in order, under a name of that writing alone; other records may stand
between them. The whole takes the place of its last piece: nobody sees it before, and the first valid record wins by
that place. A writer that dies between two pieces leaves none: pieces that are not followed by their last one within
``ABANDONED_US`` of the log's own time are void, for everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from schemas.kafka.codec import CodecError, codec

MAX_WHOLE_BYTES: Final = 256 * 1024 * 1024
"""A record that is larger is refused by its writer, and void for every reader."""
ABANDONED_US: Final = 600 * 1_000_000
"""A writer gives up a record long before."""
_ENVELOPE_BYTES: Final = 64
_codec = codec("record_piece")


def cut(value: bytes, limit: int, whole: bytes) -> Iterator[bytes]:
    """The records, of at most ``limit`` bytes each, that ``value`` is written as: itself where it fits. ``whole``: 16
    bytes for this writing."""
    if len(value) <= limit:
        yield value
        return
    length = limit - _ENVELOPE_BYTES
    count = -(-len(value) // length)
    for number in range(count):
        piece = value[number * length : (number + 1) * length]
        yield _codec.encode({"whole": whole, "number": number + 1, "of": count, "size": len(value), "piece": piece})


@dataclass(slots=True)
class _Whole:
    size: int
    of: int
    began_us: int
    pieces: list[bytes] = field(default_factory=list)


class Joiner:
    """Puts the records of one partition together; take them in log order, from the log's beginning."""

    def __init__(self) -> None:
        self._begun: dict[bytes, _Whole] = {}

    def take(self, value: bytes, append_us: int) -> bytes | None:
        """The record that stands at this place: ``value`` itself, the whole that it ends, or None for a piece that ends
        none."""
        if self._begun:
            late = [name for name, whole in self._begun.items() if append_us - whole.began_us > ABANDONED_US]
            for name in late:
                del self._begun[name]
        if not _codec.knows(value):
            return value
        try:
            piece = _codec.decode(value)
        except CodecError:
            return value  # foreign: whoever reads it says so
        name, number = piece["whole"], piece["number"]
        if number == 1 and 0 < piece["size"] <= MAX_WHOLE_BYTES:
            self._begun.setdefault(name, _Whole(piece["size"], piece["of"], append_us))
        whole = self._begun.get(name)
        if whole is None or number != len(whole.pieces) + 1:
            return None
        whole.pieces.append(piece["piece"])
        if number < whole.of:
            return None
        del self._begun[name]
        joined = b"".join(whole.pieces)
        return joined if len(joined) == whole.size else None
