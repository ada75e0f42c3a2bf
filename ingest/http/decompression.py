"""Compressed bodies, decompressed piece by piece in bounded memory (pure)."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from schemas.errors import WeirError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["ENCODINGS", "PIECE", "BrokenBody", "Inflater", "zstd"]  # zstd: as this Python has it

PIECE: Final = 64 * 1024
_LARGEST_WINDOW_LOG: Final = 23  # 8 MiB, what RFC 8878 asks of every decoder


class BrokenBody(WeirError, ValueError):
    """A compressed body that cannot be read on."""


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gunzip:
    """zlib's object with the interface that bz2, lzma and zstd share: what it did not take it keeps."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data


def _unzstd() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW_LOG})


_DECOMPRESSORS: Final[dict[str, Callable[[], Any]]] = {"gzip": _Gunzip, "x-gzip": _Gunzip, "zstd": _unzstd}
ENCODINGS: Final = tuple(_DECOMPRESSORS)


class Inflater:
    """Pieces of at most 64 KiB of plain bytes, from a body in one of ``ENCODINGS``, or as it is ("").

    ``members``: how many compressed ones may follow one another, None: any number. Each costs a copy of what was fed
    with it.
    """

    def __init__(self, encoding: str = "", members: int | None = None) -> None:
        self._new = _DECOMPRESSORS[encoding] if encoding else None
        self._member: _Decompressor | None = None
        self._members = members
        self._begun = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What ``data`` decompresses to. Raises BrokenBody."""
        if self._new is None:
            for start in range(0, len(data), PIECE):
                yield data[start : start + PIECE]
            return
        while data or self._member is not None:
            if self._member is None:
                self._member = self._new()
                self._begun += 1
                if self._members is not None and self._begun > self._members:
                    raise BrokenBody(f"the body is in more than {self._members} pieces")
            try:
                piece = self._member.decompress(data, PIECE)
            except (zlib.error, zstd.ZstdError) as error:
                raise BrokenBody(f"the body cannot be decompressed: {error}") from None
            data = b""
            if piece:
                yield piece
            if self._member.eof:
                # Members may follow one another.
                data, self._member = self._member.unused_data, None
            elif not piece:
                return

    def finish(self) -> None:
        """The body has ended. Raises BrokenBody where it is cut."""
        if self._member is not None:
            raise BrokenBody("the compressed body is cut")
