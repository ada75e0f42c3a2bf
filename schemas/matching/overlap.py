"""Whether one event can pass two sets of filters: then two profiles count it both, and two charges on them bill it both
(pure).

The answer is True unless it is proven that no event can; a True may be too much, a False never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any, Final

from schemas.catalog.meters import Aggregation, Filter, Meter, Profile
from schemas.filters import MISSING, compile_test, exact_value
from schemas.values.quantity import number

_NO_OBJECT: Final = ("gt", "gte", "lt", "lte", "starts_with", "contains")
WORK: Final = 200_000
"""Filters and their values compared for one document or one run; what is left beyond it is told as not compared."""


@dataclass(slots=True)
class Budget:
    """How much may still be compared."""

    left: int = WORK


@dataclass(frozen=True, slots=True)
class Measuring:
    """What a charge bills: events of a name that pass the filters (the meter's and the profile's), and what it takes of
    each."""

    charge: str
    profile_id: str
    event_name: str
    aggregation: Aggregation
    path: tuple[str, ...] | None
    filters: tuple[Filter, ...]

    @staticmethod
    def of(charge: str, meter: Meter, profile: Profile) -> Measuring:
        """Of a charge on a meter's profile."""
        return Measuring(
            charge, f"{meter.code}.{profile.code}", meter.event_name or meter.code, profile.aggregation,
            profile.property,
            (*meter.filters, *profile.filters),
        )  # fmt: skip

    @property
    def value(self) -> str:
        """What it takes of an event, in words."""
        return self.aggregation if self.path is None else f"{self.aggregation} of {'.'.join(self.path)}"


def can_both_match(left: Measuring, right: Measuring) -> bool:
    """Whether there can be an event that both bill."""
    return left.event_name == right.event_name and not contradictory((*left.filters, *right.filters))


def contradictory(filters: Sequence[Filter]) -> bool:
    """Whether it is proven that no event passes them all."""
    by_path: dict[tuple[str, ...], list[Filter]] = {}
    for item in filters:
        by_path.setdefault(item.property, []).append(item)
    if any(map(_never, by_path.values())):
        return True
    for above in by_path:
        for below in by_path:
            nested = len(above) < len(below) and below[: len(above)] == above
            if nested and any(map(_needs, by_path[below])) and any(map(_is_no_object, by_path[above])):
                return True
    return False


def _never(filters: Sequence[Filter]) -> bool:
    """Of all filters on one property."""
    lists = [_values(item) for item in filters if item.operator in ("in", "eq")]
    tests = [compile_test(item.operator, item.value) for item in filters]
    if lists:
        return not any(all(test(value) for test in tests) for value in min(lists, key=len))
    if any(item.operator == "exists" and item.value is False for item in filters):
        return not all(test(MISSING) for test in tests)
    low, high = _bounds(filters)
    if low is not None and high is not None and (low[0] > high[0] or (low[0] == high[0] and not (low[1] and high[1]))):
        return True
    starts = sorted((item.value for item in filters if item.operator == "starts_with"), key=len)
    return any(not longer.startswith(shorter) for shorter, longer in combinations(starts, 2))


def _values(item: Filter) -> list[Any]:
    value = exact_value(item.value)
    return value if item.operator == "in" and isinstance(value, list) else [value]


def _bounds(filters: Iterable[Filter]) -> tuple[tuple[Decimal, bool] | None, tuple[Decimal, bool] | None]:
    """The highest lower bound and the lowest upper one, each with whether the bound itself passes; None for none."""
    low: tuple[Decimal, bool] | None = None
    high: tuple[Decimal, bool] | None = None
    for item in filters:
        if item.operator not in ("gt", "gte", "lt", "lte"):
            continue
        bound = (Decimal(number(exact_value(item.value)) or 0), item.operator in ("gte", "lte"))
        if item.operator in ("gt", "gte"):
            low = bound if low is None or (bound[0], not bound[1]) > (low[0], not low[1]) else low
        else:
            high = bound if high is None or (bound[0], bound[1]) < (high[0], high[1]) else high
    return low, high


def _size(item: Filter) -> int:
    return len(item.value) if isinstance(item.value, list) else 1


def _needs(item: Filter) -> bool:
    """Whether the property must be there."""
    return not compile_test(item.operator, item.value)(MISSING)


def _is_no_object(item: Filter) -> bool:
    """Whether the filter lets no object pass."""
    if item.operator in ("in", "eq"):
        return not any(isinstance(value, dict) for value in _values(item))
    return item.operator in _NO_OBJECT or (item.operator == "exists" and item.value is False)


def double_billed(charges: Sequence[Measuring], budget: Budget) -> list[str]:
    """A sentence for each pair of charges that can bill one event both by the same value of it, and one for those that
    bill events of a name by different values."""
    warnings: list[str] = []
    by_event: dict[str, list[Measuring]] = {}
    for charge in charges:
        by_event.setdefault(charge.event_name, []).append(charge)
    for event_name, alike in by_event.items():
        different: dict[str, None] = {}
        for left, right in combinations(alike, 2):
            budget.left -= 1 + sum(map(_size, (*left.filters, *right.filters)))
            if budget.left < 0:
                return [*warnings, f"charges on events {event_name}: too many to compare all of them"]
            if not can_both_match(left, right):
                continue
            if left.value == right.value:
                warnings.append(
                    f"charges {left.charge} ({left.profile_id}) and {right.charge} ({right.profile_id}) can bill one "
                    f"event {event_name} both, each"
                    f" by {left.value}"
                )
            else:
                different |= {f"{left.charge} ({left.value})": None, f"{right.charge} ({right.value})": None}
        if different:
            warnings.append(f"charges {', '.join(different)} can bill one event {event_name} each, by different values")
    return warnings
