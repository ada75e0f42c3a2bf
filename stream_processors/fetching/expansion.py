"""Decompresses Kafka record batches up to a size limit, since a producer's small batch may expand to any size.
Pure."""

from __future__ import annotations

import zlib
from typing import Final, Protocol

import cramjam

from schemas.errors import WeirError

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
NAMES: Final = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEAD_BYTES: Final = 16
_ROOM: Final = 16  # ordinary batches compress less than 16-fold and are decompressed in a single attempt


_GROWTH: Final = 8  # of the room for one that compresses better: memory is of its size, never at once of the limit's


class _Codec(Protocol):
    """A module of cramjam."""

    def decompress_into(self, data: bytes, output: bytearray) -> int: ...


class Unexpanded(WeirError, ValueError):
    """A batch that cannot be decompressed: larger than the limit, or corrupt. ``begin``: its first bytes, as far as
    known."""

    def __init__(self, why: str, begin: bytes = b"") -> None:
        super().__init__(why)
        self.begin = begin


def expand(kind: int, data: bytes, limit: int) -> bytes:
    """Decompress ``data``. ``kind``: Kafka's codec number (1 gzip, 2 snappy, 3 lz4, 4 zstd); ``limit`` in bytes.

    Raises Unexpanded. Uses at most about twice ``limit`` of memory.
    """
    try:
        if kind == GZIP:
            return _gzip(data, limit)
        if kind == SNAPPY:
            return _snappy(data, limit)
        if kind in (LZ4, ZSTD):
            return _framed(cramjam.lz4 if kind == LZ4 else cramjam.zstd, data, limit)
    except (zlib.error, cramjam.DecompressionError, ValueError, IndexError) as error:
        if isinstance(error, Unexpanded):
            raise
        raise Unexpanded(f"it is no {NAMES[kind]}: {error}") from None
    raise Unexpanded(f"Kafka has no codec {kind}")


def _beyond(limit: int, begin: bytes = b"") -> Unexpanded:
    return Unexpanded(f"it expands to more than {limit} bytes", begin)


def _gzip(data: bytes, limit: int) -> bytes:
    expanded = bytearray()
    while data:
        member = zlib.decompressobj(wbits=31)
        expanded += member.decompress(data, limit + 1 - len(expanded))
        if len(expanded) > limit:
            raise _beyond(limit, bytes(expanded))
        if not member.eof:
            raise Unexpanded("it is no gzip: its end is missing")
        data = member.unused_data
    return bytes(expanded)


def _snappy(data: bytes, limit: int) -> bytes:
    """Raw snappy, or the xerial block format written by Java clients. Both state the decompressed length up front."""
    if not data.startswith(_XERIAL):
        return _snappy_block(data, limit, limit, b"")
    expanded = bytearray()
    at = _XERIAL_HEAD_BYTES
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        expanded += _snappy_block(data[at + 4 : at + 4 + size], limit - len(expanded), limit, bytes(expanded))
        at += 4 + size
    return bytes(expanded)


def _snappy_block(block: bytes, room: int, limit: int, begin: bytes) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > room:
        raise _beyond(limit, begin)
    return bytes(cramjam.snappy.decompress_raw(block))


def _framed(codec: _Codec, data: bytes, limit: int) -> bytes:
    room = min(limit, _ROOM * len(data) + 4096)
    while True:
        expanded = bytearray(room)
        try:
            length = codec.decompress_into(data, expanded)
        except cramjam.DecompressionError as error:
            # cramjam raises the same error for "output does not fit" and "input is corrupt"; only the text differs.
            if "whole buffer" not in str(error):
                raise
            if room == limit:
                raise _beyond(limit, bytes(expanded[: 1 << 16])) from None
            room = min(limit, _GROWTH * room)
        else:
            return bytes(memoryview(expanded)[:length])
