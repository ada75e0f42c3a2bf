"""Splits ledger records that exceed the record limit into pieces, and reassembles them. Pure.

The pieces of a record are in one partition, in order, under an id unique to that write; other records may lie
between them. The record takes the position of its last piece: it is invisible before, and that position counts for
the first-valid rule. If the last piece does not follow within ``ABANDONED_US`` of the log's own time (its writer
died), the pieces are void for all readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from schemas.kafka.codec import CodecError, codec

MAX_WHOLE_BYTES: Final = 256 * 1024 * 1024
"""Size limit: larger records are refused by writers and void for readers."""
ABANDONED_US: Final = 600 * 1_000_000
"""After this time an incomplete record is void; writers give up much earlier."""
_ENVELOPE_BYTES: Final = 64
_codec = codec("record_piece")


def cut(value: bytes, limit: int, whole: bytes) -> Iterator[bytes]:
    """Split ``value`` into records of at most ``limit`` bytes; yields ``value`` itself if it fits. ``whole``: a
    16-byte id of this write."""
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
    began_at: int
    pieces: list[bytes] = field(default_factory=list)


class Joiner:
    """Reassembles the records of one partition. Feed it all records in log order from the log's beginning, or from the
    ``begun_at`` of another one on."""

    def __init__(self) -> None:
        self._begun: dict[bytes, _Whole] = {}

    @property
    def begun_at(self) -> int | None:
        """The offset of the first piece of a record that is incomplete at this position; None if none is."""
        return min((whole.began_at for whole in self._begun.values()), default=None)

    def take(self, value: bytes, append_us: int, offset: int = 0) -> bytes | None:
        """The record at this position: ``value`` itself, the record completed by it, or None for any other piece."""
        if self._begun:
            late = [name for name, whole in self._begun.items() if append_us - whole.began_us > ABANDONED_US]
            for name in late:
                del self._begun[name]
        if not _codec.knows(value):
            return value
        try:
            piece = _codec.decode(value)
        except CodecError:
            return value  # not decodable: left to the reader to report
        name, number = piece["whole"], piece["number"]
        if number == 1 and 0 < piece["size"] <= MAX_WHOLE_BYTES:
            self._begun.setdefault(name, _Whole(piece["size"], piece["of"], append_us, offset))
        whole = self._begun.get(name)
        if whole is None or number != len(whole.pieces) + 1:
            return None
        whole.pieces.append(piece["piece"])
        if number < whole.of:
            return None
        del self._begun[name]
        joined = b"".join(whole.pieces)
        return joined if len(joined) == whole.size else None
