"""Bytes of a compressed record batch, expanded to at most so many: whoever writes to an inbox decides how much that
would be. Pure."""

from __future__ import annotations

import zlib
from typing import Final

import cramjam

from schemas.errors import WeirError

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
NAMES: Final = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEAD_BYTES: Final = 16
_ROOM: Final = 16  # ordinary batches shrink less than that, and are expanded at once


class Unexpanded(WeirError, ValueError):
    """What cannot be expanded: beyond ``limit`` bytes, or broken. ``begin``: what came out first, as far as that is
    known."""

    def __init__(self, why: str, begin: bytes = b"") -> None:
        super().__init__(why)
        self.begin = begin


def expand(kind: int, data: bytes, limit: int) -> bytes:
    """``data``, compressed by one of Kafka's codecs, as it was before. Raises Unexpanded; never takes more than about
    twice ``limit``."""
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
    """Raw, or in the blocks of Java's library. Both say their length before."""
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


def _framed(codec: object, data: bytes, limit: int) -> bytes:
    # The library tells that its output does not fit by the same error as that its input is broken.
    for room in sorted({min(limit, _ROOM * len(data) + 4096), limit}):
        expanded = bytearray(room)
        try:
            length = codec.decompress_into(data, expanded)  # type: ignore[attr-defined]  # a module of cramjam, by name
        except cramjam.DecompressionError as error:
            if "whole buffer" not in str(error):
                raise
            if room == limit:
                raise _beyond(limit, bytes(expanded[: 1 << 16])) from None
        else:
            return bytes(memoryview(expanded)[:length])
    raise AssertionError("the last room is the limit")
