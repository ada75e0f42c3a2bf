"""A long body as numbered lines, in bounded memory: decompressed piece by piece, cut at newlines (pure)."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE: Final = 64 * 1024
MAX_LINE: Final = 256 * 1024
_LARGEST_WINDOW_LOG: Final = 23  # 8 MiB, what RFC 8878 asks of every decoder


class BrokenBody(ValueError):
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
    """Pieces of at most 64 KiB of plain bytes, from a body in one of ``ENCODINGS``, or as it is ("")."""

    def __init__(self, encoding: str = "") -> None:
        self._new = _DECOMPRESSORS[encoding] if encoding else None
        self._member: _Decompressor | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What ``data`` decompresses to. Raises BrokenBody."""
        if self._new is None:
            for start in range(0, len(data), PIECE):
                yield data[start : start + PIECE]
            return
        while data or self._member is not None:
            if self._member is None:
                self._member = self._new()
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


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank. ``number``: from 1, blank lines counted. Of a line that is too long only its beginning
    is kept."""

    number: int
    text: bytes
    too_long: bool = False


class Lines:
    """Cuts pieces at newlines; keeps at most one unfinished line of ``limit`` bytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._too_long = False
        self.number = 0  # of the last line that has ended

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that end in this piece."""
        *ended, rest = piece.split(b"\n")
        for text in ended:
            self._append(text)
            yield from self._end()
        self._append(rest)

    def finish(self) -> Iterator[Line]:
        """The body has ended: what stands behind the last newline is a line too."""
        if self._rest:
            yield from self._end()

    def _append(self, text: bytes) -> None:
        if len(self._rest) + len(text) > self._limit:
            self._too_long = True
            text = text[: self._limit - len(self._rest)]
        self._rest += text

    def _end(self) -> Iterator[Line]:
        self.number += 1
        text = bytes(self._rest).strip()
        if text or self._too_long:
            yield Line(self.number, text, self._too_long)
        self._rest.clear()
        self._too_long = False
