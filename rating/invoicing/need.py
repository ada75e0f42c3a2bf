"""The measurement needed for a line."""

from __future__ import annotations

from dataclasses import dataclass

from rating.usage import Measured


@dataclass(frozen=True, slots=True)
class Need:
    """A total that one query answers for many accounts: a profile over a period, grouped by ``dimensions``."""

    profile: Measured
    start_us: int
    end_us: int
    dimensions: tuple[str, ...] = ()
