"""Two sequences of one order side by side, without holding all of either: invoices of the topic and of ClickHouse in
the order of their ids, or what two folds of a log have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Left = TypeVar("Left")
Right = TypeVar("Right")


def aligned(
    left: Iterable[Left],
    right: Iterable[Right],
    key_of_left: Callable[[Left], Any],
    key_of_right: Callable[[Right], Any],
) -> Iterator[tuple[Left | None, Right | None]]:
    """Both are in the order of their keys, each of which either has once at most; None where one lacks what the other
    has."""
    left_entries, right_entries = iter(left), iter(right)
    left_entry, right_entry = next(left_entries, None), next(right_entries, None)
    while left_entry is not None or right_entry is not None:
        left_first = right_first = True
        if left_entry is not None and right_entry is not None:
            left_key, right_key = key_of_left(left_entry), key_of_right(right_entry)
            left_first, right_first = left_key <= right_key, right_key <= left_key
        yield left_entry if left_first else None, right_entry if right_first else None
        left_entry = next(left_entries, None) if left_first else left_entry
        right_entry = next(right_entries, None) if right_first else right_entry
