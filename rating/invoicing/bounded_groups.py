"""Bounds the memory of a total by dimension values: anybody with an API key can invent values, and each would be a row.
Pure.

Combinations that a cell names and the largest of all others stay as they are; the rest become one group, which a price
counts as it would count each of them (``rating.pricing``): all are priced by the price's default, or have no price.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Final

from rating.pricing.exact import exactly
from rating.usage import Usage, UsageGroup
from schemas.prices import MatrixPrice, Price, prices_in_time
from schemas.values.caches.identity_cache import IdentityCache
from schemas.values.record_copy import replace

Values = tuple[str, ...]
"""A combination of dimension values, "" for a value that is missing."""
_ZERO: Final = Decimal(0)
_ROOM: Final = 1000
"""Groups beyond the bound that are held before the largest are chosen, so that most of them are sorted once."""


def _named(price: Price) -> frozenset[Values]:
    prices = [held for held, _ in prices_in_time(price)]
    return frozenset(cell.values for held in prices if isinstance(held, MatrixPrice) for cell in held.cells)


named_values: Final[IdentityCache[Price, frozenset[Values]]] = IdentityCache(_named)
"""The combinations that a cell of a price names, also one that held earlier in its period."""


def bounded(rows: Iterable[UsageGroup], named: Collection[Values], most: int) -> list[UsageGroup]:
    """The groups of one account and period with at most ``most`` combinations that are not ``named``: the largest
    quantities, of equal ones those that come first by their values. A further group has the sum of all others.

    ``rows``: equal combinations one after another; their quantities add up. A missing value and "" are equal.
    """
    groups: list[UsageGroup] = []
    others: UsageGroup | None = None
    free = 0
    for row in rows:
        if groups and _values(row) == _values(groups[-1]):
            groups[-1] = replace(groups[-1], usage=_sum(groups[-1].usage, row.usage))
            continue
        if free > most + _ROOM:
            groups, others, free = *_largest(groups, others, named, most), most
        groups.append(row)
        free += _values(row) not in named
    if free > most:
        groups, others = _largest(groups, others, named, most)
    return groups if others is None else [*groups, others]


def _largest(
    groups: Iterable[UsageGroup], others: UsageGroup | None, named: Collection[Values], most: int
) -> tuple[list[UsageGroup], UsageGroup]:
    """(the groups that stay, the sum of all others)."""
    listed = [group for group in groups if _values(group) in named]
    free = [group for group in groups if _values(group) not in named]
    free.sort(key=lambda group: (-(group.usage.quantity or _ZERO), _values(group)))
    return listed + free[:most], _together(free[most:], others)


def _together(groups: list[UsageGroup], others: UsageGroup | None) -> UsageGroup:
    quantity, events, count, below_zero = _ZERO, 0, 0, _ZERO
    if others is not None:
        quantity, events = others.usage.quantity or _ZERO, others.usage.events
        count, below_zero = others.others, others.below_zero
    with exactly():
        for group in groups:
            of_group = group.usage.quantity or _ZERO
            quantity += of_group
            below_zero += min(of_group, _ZERO)
    events += sum(group.usage.events for group in groups)
    return UsageGroup(Usage(quantity, events), groups[0].account_id, None, (), count + len(groups), below_zero)


def _sum(left: Usage, right: Usage) -> Usage:
    if left.quantity is None or right.quantity is None:
        return Usage(left.quantity if right.quantity is None else right.quantity, left.events + right.events)
    with exactly():
        return Usage(left.quantity + right.quantity, left.events + right.events)


def _values(group: UsageGroup) -> Values:
    return tuple(value or "" for value in group.dimensions)
