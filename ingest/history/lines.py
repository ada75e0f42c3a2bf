"""A long body as numbered lines, in bounded memory: cut at newlines (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_LINE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank. ``number``: from 1, blank lines counted. Of a line that is too long only its
    beginning is kept."""

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
        *ended, remainder = piece.split(b"\n")
        for text in ended:
            self._append(text)
            yield from self._end()
        self._append(remainder)

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
