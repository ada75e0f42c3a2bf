"""Long work of a thread in short pieces, so that others of the process come to run between them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_PIECE: Final = 60
_MOST_PAUSES: Final = 150


def at_once() -> None:
    """Pause not at all."""


def paced(items: Sequence[T], pause: Callable[[], None], piece: int = _PIECE) -> Iterator[T]:
    """The items in their order; ``pause`` is called after each ``piece`` of them but the last, _MOST_PAUSES times at
    most: of many items a piece has more."""
    piece = max(piece, -(-len(items) // _MOST_PAUSES))
    for start in range(0, len(items), piece):
        if start:
            pause()
        yield from items[start : start + piece]
