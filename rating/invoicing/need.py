"""The measurement needed for a line."""

from __future__ import annotations

from msgspec import Struct

from rating.usage import Measured


class Need(Struct, frozen=True, cache_hash=True):
    """A total that one query answers for many accounts: a profile over a period, grouped by ``dimensions``.

    ``named``: combinations of dimension values that a price names, and that must stay apart however many there are.
    """

    profile: Measured
    start_us: int
    end_us: int
    dimensions: tuple[str, ...] = ()
    named: frozenset[tuple[str, ...]] = frozenset()
