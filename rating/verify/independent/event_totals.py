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
from typing import Final, TypeAlias

from rating.verify.independent.defaults import with_default
from schemas.catalog.meters import Aggregation, Filter
from schemas.catalog.profiles import ProfileVersion
from schemas.event_schema.nodes import Schema
from schemas.values.json_text import canonical, exact

JsonValue: TypeAlias = object
"""A JSON value as Python has it, or _NOTHING for one that is not there."""
_NOTHING: Final = object()
_PLACES: Final = 12


@dataclass(frozen=True, slots=True)
class Raw:
    """A counted event as usage_events has it; ``partition_key`` is (generation, partition)."""

    us: int
    partition_key: tuple[int, int]
    offset: int
    event_name: str
    key: str
    properties: JsonValue
    voided: tuple[tuple[int, int], int] | None = None  # partition key and offset of the void
    rounds: bool = True
    """Whether numbers with more than 12 decimals are rounded; where not, they count for nothing."""
    schema: Schema | None = None
    """Whose defaults it is read with."""

    def at(self, path: Sequence[str]) -> JsonValue:
        """What stands at a path, or stands in for it."""
        return _at(with_default(self.properties, self.schema, path), path)


@dataclass(frozen=True, slots=True)
class EventMeasure:
    """What one event gives under one profile version. ``unique`` is None but for count_unique."""

    value: Decimal
    tie: str
    unique: JsonValue
    dimensions: Mapping[str, str]


@dataclass(slots=True)
class Fold:
    """The aggregates of one combination of dimension values."""

    events: int = 0
    total: Fraction = Fraction(0)
    greatest: Decimal | None = None
    least: Decimal | None = None
    newest: tuple[int, str, Decimal] | None = None
    uniques: set[JsonValue] = field(default_factory=set)

    def add(self, us: int, measure: EventMeasure, counts: bool = True) -> None:
        """Add an event at ``us`` (microseconds UTC); ``counts`` False: its value counts, and it is not in the number of
        events."""
        self.events += counts
        self.total += Fraction(measure.value)
        self.greatest = measure.value if self.greatest is None else max(self.greatest, measure.value)
        self.least = measure.value if self.least is None else min(self.least, measure.value)
        candidate = (us, measure.tie, measure.value)
        self.newest = candidate if self.newest is None else max(self.newest, candidate)
        if measure.unique is not None:
            self.uniques.add(measure.unique)

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


def parse(text: str) -> JsonValue:
    """An event's properties; {} where they are no JSON object (written past acceptance)."""
    try:
        value = json.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        try:
            value = exact(text)  # a number beyond what Python's own parser takes
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def measure_of(version: ProfileVersion, event: Raw) -> EventMeasure | None:
    """What the event gives under the version; None where it is not for it, or its value cannot be measured."""
    if version.event_name != event.event_name or not version.valid_from_us <= event.us < version.valid_to_us:
        return None
    if not all(_passes(condition, event.at(condition.property)) for condition in version.filters):
        return None
    value, tie, unique = Decimal(1), "", None
    if version.aggregation != "count":
        value_found = event.at(version.property or ())
        if value_found is _NOTHING or value_found is None:
            return None
        if version.aggregation == "count_unique":
            plain = ("text", _text(value_found)) if version.by_text else _comparable(value_found)
            unique, tie = plain, canonical(_text(value_found) if version.by_text else value_found)
        else:
            number = _quantity(value_found)
            if number is None or (not event.rounds and number != _decimal(value_found)):
                return None
            value, tie = number, event.key if version.aggregation == "latest" else ""
    dimensions: dict[str, str] = {}
    for path in version.dimensions:
        name, dimension = ".".join(path), event.at(path)
        # Of two dimensions of one name, which no new meter has, the last that is there.
        if dimension is not _NOTHING or name not in dimensions:
            dimensions[name] = _text(dimension)
    return EventMeasure(value, tie, unique, dimensions)


def dimension_values(measure: EventMeasure, names: Iterable[str]) -> tuple[str, ...]:
    """The values of the named dimensions, "" for one that the event lacks."""
    return tuple(measure.dimensions.get(name, "") for name in names)


def _at(properties: JsonValue, path: Iterable[str]) -> JsonValue:
    value = properties
    for name in path:
        value = value.get(name, _NOTHING) if isinstance(value, dict) else _NOTHING
    return value


def _text(value: JsonValue) -> str:
    return "" if value is _NOTHING else value if isinstance(value, str) else canonical(value)


def _comparable(value: JsonValue) -> JsonValue:
    """Equal for equal JSON values: numbers by value, "1", 1 and true all different."""
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, int | float | Decimal):
        return ("number", Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, dict):
        return ("object", frozenset((name, _comparable(inner)) for name, inner in value.items()))
    if not isinstance(value, list | tuple):
        raise TypeError(f"{type(value).__name__} is no JSON value")
    return ("list", tuple(map(_comparable, value)))


def _decimal(value: JsonValue) -> Decimal | None:
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


def _quantity(value: JsonValue) -> Decimal | None:
    """The number as Decimal(38, 12) holds it, rounded half to even; None for what it cannot hold."""
    number = _decimal(value)
    if number is None or number.adjusted() >= 26:
        return None if number is None or number else Decimal(0)
    if number.adjusted() < -13:  # less than half of the last place; so small that its fraction would fill the memory
        return Decimal(0)
    units = round(Fraction(number) * 10**_PLACES)
    return None if abs(units) >= 10**38 else Decimal(f"{units}E-{_PLACES}")


def _passes(condition: Filter, value: JsonValue) -> bool:
    operand = condition.value
    match condition.operator:
        case "exists":
            return bool((value is not _NOTHING) == operand)
        case "in" | "eq" | "not_in" | "ne":
            options = (
                operand if isinstance(operand, list | tuple) and condition.operator in ("in", "not_in") else [operand]
            )
            inside = value is not _NOTHING and _comparable(value) in [_comparable(option) for option in options]
            return inside == (condition.operator in ("in", "eq"))
        case "contains":
            if isinstance(value, str):
                return isinstance(operand, str) and operand in value
            return isinstance(value, list) and _comparable(operand) in [_comparable(item) for item in value]
        case "starts_with":
            return isinstance(value, str) and value.startswith(operand)
        case _:
            number, bound = None if value is _NOTHING else _decimal(value), _decimal(operand)
            if number is None or bound is None:
                return False
            return {"gt": number > bound, "gte": number >= bound, "lt": number < bound, "lte": number <= bound}[
                condition.operator
            ]
