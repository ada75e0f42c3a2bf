"""Totals straight from the properties of raw events, once more: each event matched and measured in the plainest way.

Shares nothing with ``schemas.matching.rules``, ``schemas.filters`` or the usage queries, which it is there to check;
only what a profile version says, and over which events' times it holds, is read from the catalog as everybody does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from rating.verify.independent.defaults import with_default
from schemas.catalog.models import Aggregation, Filter
from schemas.catalog.profiles import ProfileVersion
from schemas.event_schema.nodes import Schema
from schemas.values.json_text import canonical, exact

_NOTHING: Final = object()
_PLACES: Final = 12


@dataclass(frozen=True, slots=True)
class Raw:
    """A counted event as the journal has it; ``place`` is (generation, partition)."""

    us: int
    place: tuple[int, int]
    offset: int
    event_name: str
    key: str
    properties: Any
    voided: tuple[tuple[int, int], int] | None = None  # place and offset of the void
    rounds: bool = True
    """Whether numbers with more than 12 decimals are rounded; where not, they count for nothing."""
    schema: Schema | None = None
    """Whose defaults it is read with."""

    def at(self, path: Sequence[str]) -> Any:
        """What stands at a path, or stands in for it."""
        return _at(with_default(self.properties, self.schema, path), path)


@dataclass(frozen=True, slots=True)
class EventMeasure:
    """What one event gives under one profile version. ``unique`` is None but for count_unique."""

    value: Decimal
    tie: str
    unique: Any
    dimensions: Mapping[str, str]


@dataclass(slots=True)
class Fold:
    """The aggregates of one combination of dimension values."""

    events: int = 0
    total: Fraction = Fraction(0)
    greatest: Decimal | None = None
    least: Decimal | None = None
    newest: tuple[int, str, Decimal] | None = None
    uniques: set[Any] = field(default_factory=set)

    def add(self, us: int, one: EventMeasure, counts: bool = True) -> None:
        """Take one event's part; ``counts`` False: its value alone."""
        self.events += counts
        self.total += Fraction(one.value)
        self.greatest = one.value if self.greatest is None else max(self.greatest, one.value)
        self.least = one.value if self.least is None else min(self.least, one.value)
        mine = (us, one.tie, one.value)
        self.newest = mine if self.newest is None else max(self.newest, mine)
        if one.unique is not None:
            self.uniques.add(one.unique)

    def quantity(self, aggregation: Aggregation) -> Fraction:
        """The quantity under an aggregation. Raises ValueError for one that it does not know."""
        match aggregation:
            case "count":
                return Fraction(self.events)
            case "count_unique":
                return Fraction(len(self.uniques))
            case "sum":
                return self.total
            case "max":
                return Fraction(self.greatest or 0)
            case "min":
                return Fraction(self.least or 0)
            case "latest":
                return Fraction(self.newest[2] if self.newest else 0)
            case _:
                raise ValueError(f"aggregation {aggregation} has no independent check")


def parse(text: str) -> Any:
    """An event's properties; {} where they are no JSON object (written past acceptance)."""
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        try:
            found = exact(text)  # a number beyond what Python's own parser takes
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}


def measures(version: ProfileVersion, event: Raw) -> EventMeasure | None:
    """What the event gives under the version; None where it is not for it, or its value cannot be measured."""
    if version.event_name != event.event_name or not version.valid_from_us <= event.us < version.valid_to_us:
        return None
    if not all(_passes(one, event.at(one.property)) for one in version.filters):
        return None
    value, tie, unique = Decimal(1), "", None
    if version.aggregation != "count":
        found = event.at(version.property or ())
        if found is _NOTHING or found is None:
            return None
        if version.aggregation == "count_unique":
            plain = ("text", _text(found)) if version.by_text else _comparable(found)
            unique, tie = plain, canonical(_text(found) if version.by_text else found)
        else:
            number = _quantity(found)
            if number is None or (not event.rounds and number != _decimal(found)):
                return None
            value, tie = number, event.key if version.aggregation == "latest" else ""
    dimensions: dict[str, str] = {}
    for path in version.dimensions:
        name, there = ".".join(path), event.at(path)
        # Of two dimensions of one name, which no new meter has, the last that is there.
        if there is not _NOTHING or name not in dimensions:
            dimensions[name] = _text(there)
    return EventMeasure(value, tie, unique, dimensions)


def of_dimensions(one: EventMeasure, names: Iterable[str]) -> tuple[str, ...]:
    """The values of the named dimensions, "" for one that the event lacks."""
    return tuple(one.dimensions.get(name, "") for name in names)


def _at(properties: Any, path: Iterable[str]) -> Any:
    found = properties
    for name in path:
        found = found.get(name, _NOTHING) if isinstance(found, dict) else _NOTHING
    return found


def _text(value: Any) -> str:
    return "" if value is _NOTHING else value if isinstance(value, str) else canonical(value)


def _comparable(value: Any) -> Any:
    """Equal for equal JSON values: numbers by value, "1", 1 and true all different."""
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, int | float | Decimal):
        return ("number", Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, dict):
        return ("object", frozenset((name, _comparable(inner)) for name, inner in value.items()))
    return ("list", tuple(map(_comparable, value)))


def _decimal(value: Any) -> Decimal | None:
    """A number, or a string that is just a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, str) and (not value.isascii() or len(value) > 400 or "_" in value or value != value.strip()):
        return None
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _quantity(value: Any) -> Decimal | None:
    """The number as Decimal(38, 12) holds it, rounded half to even; None for what it cannot hold."""
    number = _decimal(value)
    if number is None or number.adjusted() >= 26:
        return None if number is None or number else Decimal(0)
    if number.adjusted() < -13:  # less than half of the last place; so small that its fraction would fill the memory
        return Decimal(0)
    units = round(Fraction(number) * 10**_PLACES)
    return None if abs(units) >= 10**38 else Decimal(f"{units}E-{_PLACES}")


def _passes(one: Filter, found: Any) -> bool:
    wanted = one.value
    match one.operator:
        case "exists":
            return bool((found is not _NOTHING) == wanted)
        case "in" | "eq" | "not_in" | "ne":
            options = wanted if isinstance(wanted, list | tuple) and one.operator in ("in", "not_in") else [wanted]
            inside = found is not _NOTHING and _comparable(found) in [_comparable(option) for option in options]
            return inside == (one.operator in ("in", "eq"))
        case "contains":
            if isinstance(found, str):
                return isinstance(wanted, str) and wanted in found
            return isinstance(found, list) and _comparable(wanted) in [_comparable(item) for item in found]
        case "starts_with":
            return isinstance(found, str) and found.startswith(wanted)
        case _:
            number, bound = None if found is _NOTHING else _decimal(found), _decimal(wanted)
            if number is None or bound is None:
                return False
            return {"gt": number > bound, "gte": number >= bound, "lt": number < bound, "lte": number <= bound}[
                one.operator
            ]
