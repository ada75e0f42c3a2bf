"""Finds combinations of filters that no event can pass, so that their profile would silently never measure
anything. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from ingest.catalog.document import Fault
from schemas.catalog.meters import Filter, Meter
from schemas.filters import MISSING, Predicate, compile_test, exact_value
from schemas.values.quantity import number

_LISTS: Final = ("in", "eq")
_ABOVE: Final = ("gt", "gte")
_BELOW: Final = ("lt", "lte")


_SHOWN: Final = 120  # characters of a filter's value in a message


@dataclass(frozen=True)
class PlacedFilter:
    """A filter with its rank among the profile's filters and its JSON path."""

    order: int
    path: str
    filter: Filter

    def __str__(self) -> str:
        value = "" if self.filter.operator == "exists" and self.filter.value is True else f" {self.filter.value!r}"
        if len(value) > _SHOWN:
            value = f"{value[:_SHOWN]}…"
        return f"{'.'.join(self.filter.property)} {self.filter.operator}{value}"

    def passes(self, value: Any) -> bool:
        """Whether a property with this value passes (MISSING: the property is absent)."""
        return self._test(value)

    @cached_property
    def _test(self) -> Predicate:
        # Compiled once: compiling a list of n values costs O(n), and each of the values is tested.
        return compile_test(self.filter.operator, self.filter.value)

    @cached_property
    def values(self) -> list[Any]:
        """The values allowed by a filter whose operator is in _LISTS."""
        value = exact_value(self.filter.value)
        return value if self.filter.operator == "in" and isinstance(value, list) else [value]

    @cached_property
    def may_be_object(self) -> bool:
        """Whether the filter can let a non-empty object pass; values in a list may be objects."""
        if self.filter.operator in _LISTS:
            return any(isinstance(value, dict) for value in self.values)
        return self.passes({"p": 1})

    @cached_property
    def needs(self) -> bool:
        """Whether the filter requires the property to be present."""
        return not self.passes(MISSING)


def never_faults(meter: Meter, path: str) -> Iterator[Fault]:
    """The contradictions of each profile, with its filters combined with its meter's."""
    common = [PlacedFilter(number, f"{path}.filters[{number}]", item) for number, item in enumerate(meter.filters)]
    reported: set[str] = set()
    for index, profile in enumerate(meter.profiles):
        profile_filters = [
            PlacedFilter(len(common) + number, f"{path}.profiles[{index}].filters[{number}]", item)
            for number, item in enumerate(profile.filters)
        ]
        for fault in _never([*common, *profile_filters]):
            if fault.path not in reported:
                reported.add(fault.path)
                yield fault


def _never(filters: Sequence[PlacedFilter]) -> Iterator[Fault]:
    by_property: dict[tuple[str, ...], list[PlacedFilter]] = {}
    for placed in filters:
        by_property.setdefault(placed.filter.property, []).append(placed)
    for same_property in by_property.values():
        if (fault := _contradiction(same_property)) is not None:
            yield fault
    for deeper in filters:
        below = deeper.filter.property
        for length in range(1, len(below)):
            for placed in by_property.get(below[:length], ()):
                if deeper.needs and not placed.may_be_object:
                    why = f"{'.'.join(below[:length])} must be an object to hold {'.'.join(below)}"
                    yield _both(placed, deeper, why)


def _contradiction(filters: Sequence[PlacedFilter]) -> Fault | None:
    """A contradiction among the filters on one property, None if there is none."""
    listed = [placed for placed in filters if placed.filter.operator in _LISTS]
    if listed:
        return _of_list(min(listed, key=lambda placed: len(placed.values)), filters)
    absent = next(
        (placed for placed in filters if placed.filter.operator == "exists" and placed.filter.value is False), None
    )
    present = next((placed for placed in filters if placed.needs), None)
    if absent is not None and present is not None:
        return _both(absent, present, "the one needs the property missing, the other needs it there")
    return _of_range(filters) or _of_starts(filters)


def _of_list(listed: PlacedFilter, filters: Sequence[PlacedFilter]) -> Fault | None:
    """Try each value that ``listed`` allows on all the filters."""
    values = listed.values
    if not values:
        return Fault(f"{listed.path}.value", "an empty list: no event passes; list the values, or remove the filter")
    passing = values
    for placed in filters:
        passing = [value for value in passing if placed.passes(value)]
        if not passing:
            return _both(listed, placed, f"no value of {listed} passes all the filters on it")
    return None


def _of_range(filters: Sequence[PlacedFilter]) -> Fault | None:
    lowest = max(
        (placed for placed in filters if placed.filter.operator in _ABOVE),
        key=lambda placed: (_bound(placed), placed.filter.operator == "gt"),
        default=None,
    )
    highest = min(
        (placed for placed in filters if placed.filter.operator in _BELOW),
        key=lambda placed: (_bound(placed), placed.filter.operator == "lte"),
        default=None,
    )
    if lowest is None or highest is None:
        return None
    low, high = _bound(lowest), _bound(highest)
    if low < high or (low == high and (lowest.filter.operator, highest.filter.operator) == ("gte", "lte")):
        return None
    return _both(lowest, highest, "no number is in both")


def _bound(placed: PlacedFilter) -> Decimal:
    return Decimal(number(exact_value(placed.filter.value)) or 0)


def _of_starts(filters: Sequence[PlacedFilter]) -> Fault | None:
    starts = sorted(
        (shorter for shorter in filters if shorter.filter.operator == "starts_with"),
        key=lambda shorter: len(shorter.filter.value),
    )
    for shorter, longer in pairwise(starts):
        if not longer.filter.value.startswith(shorter.filter.value):
            return _both(shorter, longer, "no text starts with both")
    return None


def _both(left: PlacedFilter, right: PlacedFilter, why: str) -> Fault:
    """A fault at the later of two filters that names the earlier one."""
    if left is right:
        return Fault(left.path, f"{left} lets no event pass; {why}")
    left, right = sorted((left, right), key=lambda placed: placed.order)
    return Fault(right.path, f"{right} can never match together with {left} ({left.path}): {why}; remove one of them")
