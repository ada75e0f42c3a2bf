"""Filters that no event can pass: a profile with them would measure nothing for ever, without a word (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from ingest.catalog_document import Fault
from schemas.catalog.models import Filter, Meter
from schemas.filters import MISSING, compile_filter, exact_value
from schemas.quantity import number

_LISTS: Final = ("in", "eq")
_ABOVE: Final = ("gt", "gte")
_BELOW: Final = ("lt", "lte")


@dataclass(frozen=True, slots=True)
class Placed:
    """A filter, which of them all it is, and its JSON path."""

    order: int
    path: str
    filter: Filter

    def __str__(self) -> str:
        value = "" if self.filter.operator == "exists" and self.filter.value is True else f" {self.filter.value!r}"
        return f"{'.'.join(self.filter.property)} {self.filter.operator}{value}"

    def passes(self, value: Any) -> bool:
        """Whether a property of this value (MISSING: none) passes."""
        return compile_filter(("p",), self.filter.operator, self.filter.value)({} if value is MISSING else {"p": value})

    @property
    def needs(self) -> bool:
        """Whether the property must be there."""
        return not self.passes(MISSING)


def never_faults(meter: Meter, path: str) -> Iterator[Fault]:
    """Each profile's contradictions, its filters combined with its meter's."""
    common = [(f"{path}.filters[{number}]", item) for number, item in enumerate(meter.filters)]
    seen: set[str] = set()
    for index, profile in enumerate(meter.profiles):
        own = [(f"{path}.profiles[{index}].filters[{number}]", item) for number, item in enumerate(profile.filters)]
        for fault in _never([Placed(order, *one) for order, one in enumerate([*common, *own])]):
            if fault.path not in seen:
                seen.add(fault.path)
                yield fault


def _never(filters: Sequence[Placed]) -> Iterator[Fault]:
    by_property: dict[tuple[str, ...], list[Placed]] = {}
    for one in filters:
        by_property.setdefault(one.filter.property, []).append(one)
    for some in by_property.values():
        if (fault := _contradiction(some)) is not None:
            yield fault
    for one in filters:
        for other in filters:
            above, below = one.filter.property, other.filter.property
            if len(above) < len(below) and below[: len(above)] == above and other.needs and not _may_be_object(one):
                yield _both(one, other, f"{'.'.join(above)} must be an object to hold {'.'.join(below)}")


def _contradiction(filters: Sequence[Placed]) -> Fault | None:
    """Of all filters on one property."""
    listed = [one for one in filters if one.filter.operator in _LISTS]
    if listed:
        return _of_list(min(listed, key=lambda one: len(_values(one))), filters)
    absent = next((one for one in filters if one.filter.operator == "exists" and one.filter.value is False), None)
    present = next((one for one in filters if one.needs), None)
    if absent is not None and present is not None:
        return _both(absent, present, "the one needs the property missing, the other needs it there")
    return _of_range(filters) or _of_starts(filters)


def _of_list(one: Placed, filters: Sequence[Placed]) -> Fault | None:
    """Every value that ``one`` allows, tried on all the filters."""
    values = _values(one)
    if not values:
        return Fault(f"{one.path}.value", "an empty list: no event passes; list the values, or remove the filter")
    passing = values
    for other in filters:
        passing = [value for value in passing if other.passes(value)]
        if not passing:
            return _both(one, other, f"no value of {one} passes all the filters on it")
    return None


def _values(one: Placed) -> list[Any]:
    value = exact_value(one.filter.value)
    return value if one.filter.operator == "in" and isinstance(value, list) else [value]


def _of_range(filters: Sequence[Placed]) -> Fault | None:
    lowest = max(
        (one for one in filters if one.filter.operator in _ABOVE),
        key=lambda one: (_bound(one), one.filter.operator == "gt"),
        default=None,
    )
    highest = min(
        (one for one in filters if one.filter.operator in _BELOW),
        key=lambda one: (_bound(one), one.filter.operator == "lte"),
        default=None,
    )
    if lowest is None or highest is None:
        return None
    low, high = _bound(lowest), _bound(highest)
    if low < high or (low == high and (lowest.filter.operator, highest.filter.operator) == ("gte", "lte")):
        return None
    return _both(lowest, highest, "no number is in both")


def _bound(one: Placed) -> Decimal:
    return Decimal(number(exact_value(one.filter.value)) or 0)


def _of_starts(filters: Sequence[Placed]) -> Fault | None:
    starts = sorted(
        (one for one in filters if one.filter.operator == "starts_with"), key=lambda one: len(one.filter.value)
    )
    for one, other in pairwise(starts):
        if not other.filter.value.startswith(one.filter.value):
            return _both(one, other, "no text starts with both")
    return None


def _may_be_object(one: Placed) -> bool:
    """Whether the filter lets an object with something in it pass; a value in a list may be an object."""
    if one.filter.operator in _LISTS:
        return any(isinstance(value, dict) for value in _values(one))
    return one.passes({"p": 1})


def _both(one: Placed, other: Placed, why: str) -> Fault:
    """At the later of the two, which names the earlier."""
    if one is other:
        return Fault(one.path, f"{one} lets no event pass; {why}")
    one, other = sorted((one, other), key=lambda placed: placed.order)
    return Fault(other.path, f"{other} can never match together with {one} ({one.path}): {why}; remove one of them")
