"""Splits a streamed body into numbered lines in bounded memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_LINE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A non-blank line. ``number``: from 1, counting blank lines. A line that is too long keeps only its beginning."""

    number: int
    text: bytes
    too_long: bool = False


class Lines:
    """Splits pieces at newlines, buffering at most one incomplete line of ``limit`` bytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._too_long = False
        self.number = 0  # number of the last complete line

    def feed(self, piece: bytes) -> Iterator[NumberedLine]:
        """The lines completed by this piece."""
        *ended, remainder = piece.split(b"\n")
        for text in ended:
            if not text and not self._rest:  # a body may be nothing but these
                self.number += 1
                continue
            self._append(text)
            yield from self._end()
        self._append(remainder)

    def finish(self) -> Iterator[NumberedLine]:
        """The last line, if the body does not end with a newline."""
        if self._rest:
            yield from self._end()

    def _append(self, text: bytes) -> None:
        if len(self._rest) + len(text) > self._limit:
            self._too_long = True
            text = text[: self._limit - len(self._rest)]
        self._rest += text

    def _end(self) -> Iterator[NumberedLine]:
        self.number += 1
        text = bytes(self._rest).strip()
        if text or self._too_long:
            yield NumberedLine(self.number, text, self._too_long)
        self._rest.clear()
        self._too_long = False
