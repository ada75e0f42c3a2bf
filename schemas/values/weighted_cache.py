"""A cache bounded by what it holds, not by how many: the least recently used goes first. Safe from several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighed(Generic[T]):
    """``get`` makes what is not there. All weights together stay below ``most``, but for the last one that was made."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], tuple[T, int]]) -> T:
        """What stands under ``key``; ``make()`` gives it and its weight, at least 1. Two threads may make it at once;
        one of both is kept."""
        with self._lock:
            cached = self._kept.get(key)
            if cached is not None:
                self._kept.move_to_end(key)
                return cached[0]
        value, weight = make()
        with self._lock:
            cached = self._kept.get(key)
            if cached is not None:
                return cached[0]
            while self._kept and self._weight + weight > self._most:
                _, (_, gone) = self._kept.popitem(last=False)
                self._weight -= gone
            self._kept[key] = value, weight
            self._weight += weight
        return value

    def __len__(self) -> int:
        return len(self._kept)
