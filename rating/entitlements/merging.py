"""Usage of parts of time or of the log, put together. Pure.

Sums and counts add up, maxima and minima are the greatest and the least. A latest value and a unique count say nothing
of their parts, so they are measured again as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rating.pricing.exact import exactly
from rating.usage import Measured, Usage, no_usage
from schemas.catalog.meters import Aggregation

ADDING: Final[frozenset[Aggregation]] = frozenset({"sum", "count"})
_EXTREME: Final[frozenset[Aggregation]] = frozenset({"max", "min"})
_MERGING: Final = ADDING | _EXTREME


def merges(profile: Measured) -> bool:
    """Whether what was appended can be put to what was there."""
    plain = not (profile.carry_over or profile.backfilled or profile.keyed)
    return plain and profile.aggregation in _MERGING


def merged(aggregation: Aggregation, parts: Iterable[Usage]) -> Usage:
    """The usage of all parts together; of none, no usage. ``aggregation``: one that merges, else there is one part at
    most."""
    total: Usage | None = None
    with exactly():
        for part in parts:
            total = part if total is None else together(aggregation, total, part)
    return no_usage(aggregation) if total is None else total


def together(aggregation: Aggregation, left: Usage, right: Usage) -> Usage:
    """The usage of two parts; within ``exactly``, for an aggregation that merges."""
    events = left.events + right.events
    if left.quantity is None or right.quantity is None:
        return Usage(left.quantity if right.quantity is None else right.quantity, events)
    if aggregation in ADDING:
        return Usage(left.quantity + right.quantity, events)
    assert aggregation in _EXTREME, f"{aggregation} is not put together"
    quantities = (left.quantity, right.quantity)
    return Usage(max(quantities) if aggregation == "max" else min(quantities), events)
