"""A number of the stack beside the fold's. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """``kind``: what such numbers are called where they are counted; ``subject``: which number it is."""

    kind: str
    subject: str
    stack: object
    fold: object

    @property
    def same(self) -> bool:
        """Whether both are equal."""
        return self.stack == self.fold

    def __str__(self) -> str:
        return f"{self.subject}: the stack has {self.stack}; the fold has {self.fold}"


def counts(pairs: Iterable[Pair]) -> str:
    """How many numbers of each kind were compared, as a text."""
    numbers = Counter(pair.kind for pair in pairs)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(numbers.items()))
