"""A cache keyed by object identity: what is computed from an object is computed once while that object lives here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class IdentityCache(Generic[K, V]):
    """Keyed by ``id``, not by equality: comparing two prices or plans costs more than the cache saves.

    Each object is held beside its value, so that its id is not used for another one. Beyond ``most`` entries the cache
    is emptied.
    """

    def __init__(self, make: Callable[[K], V], most: int = 1000) -> None:
        self._make = make
        self._most = most
        self._entries: dict[int, tuple[K, V]] = {}

    def __call__(self, key: K) -> V:
        """The value of ``key``, computed if it is not in the cache. Raises what ``make`` raises, and caches nothing
        then."""
        entry = self._entries.get(id(key))
        if entry is None:
            if len(self._entries) >= self._most:
                self._entries.clear()
            entry = self._entries[id(key)] = key, self._make(key)
        return entry[1]
