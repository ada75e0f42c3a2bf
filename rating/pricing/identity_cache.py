"""Values that many objects share, made once for the one object they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class IdentityCache(Generic[K, V]):
    """Values by the object itself, not by what it equals: comparing a price or a plan costs more than what is saved.

    The object is kept with its value, so that its id stays its own. Beyond ``most`` of them all are forgotten.
    """

    def __init__(self, make: Callable[[K], V], most: int = 1000) -> None:
        self._make = make
        self._most = most
        self._found: dict[int, tuple[K, V]] = {}

    def __call__(self, key: K) -> V:
        """The value of ``key``, made if it is not known. Raises what ``make`` raises, and keeps nothing then."""
        found = self._found.get(id(key))
        if found is None:
            if len(self._found) >= self._most:
                self._found.clear()
            found = self._found[id(key)] = key, self._make(key)
        return found[1]
