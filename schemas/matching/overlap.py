"""Decides whether one event can pass two sets of filters, in which case two profiles count it and two charges bill
it. Pure.

The result is True unless it is proven that no event can pass both; True may be wrong, False never is.
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
"""Limit on filters and filter values compared per document or run; beyond it the result states that not all were
compared."""


@dataclass(slots=True)
class Budget:
    """Remaining number of comparisons."""

    left: int = WORK


@dataclass(frozen=True, slots=True)
class Measuring:
    """What a charge bills: events of a name that pass the filters (the meter's and the profile's), and the value
    taken of each."""

    charge: str
    profile_id: str
    event_name: str
    aggregation: Aggregation
    path: tuple[str, ...] | None
    filters: tuple[Filter, ...]

    @staticmethod
    def of(charge: str, meter: Meter, profile: Profile) -> Measuring:
        """From a charge on a meter's profile."""
        return Measuring(
            charge, f"{meter.code}.{profile.code}", meter.event_name or meter.code, profile.aggregation,
            profile.property,
            (*meter.filters, *profile.filters),
        )  # fmt: skip

    @property
    def value(self) -> str:
        """The value taken of an event, in words."""
        return self.aggregation if self.path is None else f"{self.aggregation} of {'.'.join(self.path)}"


def can_both_match(left: Measuring, right: Measuring) -> bool:
    """Whether an event can exist that both bill."""
    return left.event_name == right.event_name and not contradictory((*left.filters, *right.filters))


def contradictory(filters: Sequence[Filter]) -> bool:
    """Whether it is proven that no event passes all filters."""
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
    """The same for filters on one property."""
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
    """The highest lower bound and the lowest upper bound, each with whether the bound itself passes; None if there
    is none."""
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
    """Whether the filter requires the property to be present."""
    return not compile_test(item.operator, item.value)(MISSING)


def _is_no_object(item: Filter) -> bool:
    """Whether the filter rejects every object."""
    if item.operator in ("in", "eq"):
        return not any(isinstance(value, dict) for value in _values(item))
    return item.operator in _NO_OBJECT or (item.operator == "exists" and item.value is False)


def double_billed(charges: Sequence[Measuring], budget: Budget) -> list[str]:
    """A message for each pair of charges that can bill the same value of one event, and one for charges that can
    bill the same event by different values."""
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
