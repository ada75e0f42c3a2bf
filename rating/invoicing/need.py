"""What has to be measured for a line."""

from __future__ import annotations

from dataclasses import dataclass

from rating.usage import Measured


@dataclass(frozen=True, slots=True)
class Need:
    """One total that one query answers for many accounts: a profile over a period, split by ``dimensions``."""

    profile: Measured
    start_us: int
    end_us: int
    dimensions: tuple[str, ...] = ()
