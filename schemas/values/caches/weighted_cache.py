"""A thread-safe LRU cache limited by the total weight of its values instead of their number."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class WeightedCache(Generic[T]):
    """Cache of computed values. The total weight stays below ``most``, except for the last value computed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], tuple[T, int]]) -> T:
        """The cached value; if missing, ``make()`` computes it and its weight (at least 1). If two threads compute
        it at once, one result is kept."""
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
