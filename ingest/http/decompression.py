"""Decompresses bodies piece by piece in bounded memory. Pure."""

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

__all__ = ["ENCODINGS", "PIECE", "BrokenBody", "Inflater", "zstd"]  # zstd: from the standard library or its backport

PIECE: Final = 64 * 1024
_LARGEST_WINDOW_LOG: Final = 23  # 8 MiB, the window size that RFC 8878 recommends every decoder to support


class BrokenBody(WeirError, ValueError):
    """A compressed body that is corrupt or truncated."""


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gunzip:
    """zlib's decompressor with the interface of bz2, lzma and zstd: it keeps unconsumed input itself."""

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
    """Yields pieces of at most 64 KiB of plain bytes from a body in one of ``ENCODINGS``, or uncompressed ("").

    ``members``: maximum number of concatenated compressed members, None = any. Each costs a copy of the remaining
    input.
    """

    def __init__(self, encoding: str = "", members: int | None = None) -> None:
        self._new = _DECOMPRESSORS[encoding] if encoding else None
        self._member: _Decompressor | None = None
        self._members = members
        self._begun = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The plain bytes of ``data``. Raises BrokenBody."""
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
                # Another member may follow.
                data, self._member = self._member.unused_data, None
            elif not piece:
                return

    def finish(self) -> None:
        """Check that the body is complete. Raises BrokenBody if it is truncated."""
        if self._member is not None:
            raise BrokenBody("the compressed body is cut")
