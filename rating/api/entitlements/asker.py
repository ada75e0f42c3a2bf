"""Who puts the questions of checks to ClickHouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Asker(Protocol):
    """A ``ClickHousePool``, as far as checks need it."""

    async def ask(self, question: Callable[[Any], T]) -> T:
        """Call ``question(client)``; returns or raises what it does."""

    def stop(self) -> None:
        """Ask nothing more."""
