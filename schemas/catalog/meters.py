"""Catalog models (pydantic) of what is measured: event types, meters, profiles and filters."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from schemas.catalog.base import Code, Identifier, Model, doubled, is_stored
from schemas.event_schema import parse_schema
from schemas.event_schema.compatibility import Compatibility
from schemas.event_schema.filled import Defaults
from schemas.filters import compile_filter
from schemas.values.instants import parse_rfc3339
from schemas.values.json_text import JsonObject

PropertyPath = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...],
    Field(min_length=1, max_length=16),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
]
Aggregation = Literal["sum", "count", "count_unique", "max", "min", "latest"]
ZERO_WITHOUT_USAGE: frozenset[Aggregation] = frozenset({"sum", "count", "count_unique"})
"""Those that are 0 without events; the others have no value then."""
Operator = Literal["in", "not_in", "eq", "ne", "gt", "gte", "lt", "lte", "exists", "contains", "starts_with"]
Window = Literal["minute", "hour", "day"]
WINDOW_SECONDS: dict[Window, int] = {"minute": 60, "hour": 3600, "day": 86_400}


def _plain_numbers(value: Any) -> Any:
    """Convert Decimals to the int or float with the same text, so that a dump of the model has a JSON number again.

    Raises ValueError where a float would round the number.
    """
    if isinstance(value, Decimal):
        number = int(value) if value == value.to_integral_value() and value.adjusted() < 19 else float(value)
        if Decimal(repr(number)) != value:
            raise ValueError(f"{value} has too many digits for a filter; write at most 15")
        return number
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain_numbers(item) for name, item in value.items()}
    return value


class Filter(Model):
    """One condition on a property; a profile's filters combine by AND."""

    property: PropertyPath
    """path of names below the properties; a single name is a path of length one"""
    operator: Operator
    """how the property is compared"""
    value: Annotated[Any, BeforeValidator(_plain_numbers)] = None
    """the value to compare with: a list for in and not_in, true or false for exists"""

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        if self.operator == "exists" and self.value is None:
            object.__setattr__(self, "value", True)
        compile_filter(self.property, self.operator, self.value)
        return self


class Profile(Model):
    """One way of measuring a meter's events."""

    code: Code
    """its name within the meter; `meter.profile` is its address"""
    name: str = ""
    """display name"""
    unit: str = ""
    """unit of its quantities; empty: the meter's"""
    aggregation: Aggregation
    """how the events of a period are aggregated"""
    property: PropertyPath | None = None
    """path of the aggregated value; none for count"""
    filters: tuple[Filter, ...] = ()
    """conditions on events; all of them, and the meter's, must hold"""
    dimensions: tuple[PropertyPath, ...] = ()
    """property paths by whose values usage is grouped, for matrix prices and reports"""
    carry_over: bool = False
    """latest only: a period without events takes over the last value before it"""
    compare: Literal["value", "text"] = "value"
    """count_unique only: compare as JSON values, so that 42 and "42" differ, or as text, so that 42, 42.0 and "42" are
    equal"""

    @model_validator(mode="after")
    def _has_value(self) -> Self:
        if self.compare != "value" and self.aggregation != "count_unique":
            raise ValueError(f"profile {self.code}: compare goes with aggregation count_unique only; remove it")
        if self.carry_over and self.aggregation != "latest":
            raise ValueError(f"profile {self.code}: carry_over goes with aggregation latest only; remove it")
        if (self.aggregation == "count") != (self.property is None):
            remedy = "takes no property; remove it" if self.aggregation == "count" else "needs a property to aggregate"
            raise ValueError(f"profile {self.code}: aggregation {self.aggregation} {remedy}")
        return self


def _event_instant(value: Any) -> datetime:
    """Convert to UTC, so that equal instants have equal text. Raises ValueError."""
    if isinstance(value, str):
        value = parse_rfc3339(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("write an RFC 3339 instant, e.g. 2026-01-31T00:00:00Z")
    if not 1970 <= value.year < 2200:
        raise ValueError("no event is of that time; write an instant between 1970 and 2200")
    return value.astimezone(UTC)


class Meter(Model):
    """Events of one name to measure, with one or more profiles."""

    code: Code
    """its name within the namespace, immutable"""
    name: str = ""
    """display name"""
    unit: str = ""
    """unit of all its profiles that have none of their own"""
    event_name: Identifier | None = None
    """name of the events it measures; null: its code"""
    filters: tuple[Filter, ...] = ()
    """conditions that apply to all its profiles"""
    window: Window = "day"
    """the span by which usage is rolled up"""
    start: Annotated[AwareDatetime, BeforeValidator(_event_instant)] | None = None
    """this version applies to events with a timestamp at or after this instant and replaces earlier versions there; if
    it lies in the past, older events are backfilled; null: a first version counts events that arrive from now on, a
    later one applies from its publication"""
    profiles: Annotated[tuple[Profile, ...], Field(min_length=1, max_length=64)]
    """at least one"""

    @model_validator(mode="after")
    def _codes_differ(self) -> Self:
        codes = [profile.code for profile in self.profiles]
        if code := doubled(codes):
            raise ValueError(f"meter {self.code}: profile code {code} stands twice; codes of profiles must differ")
        return self


class EventType(Model):
    """A documented event name."""

    model_config = ConfigDict(serialize_by_alias=True)

    code: Identifier
    """the event name"""
    name: str = ""
    """display name"""
    description: str = ""
    """free text"""
    compatibility: Compatibility = "backward"
    """what a changed schema must be able to read"""
    avro: Annotated[JsonObject | None, BeforeValidator(_plain_numbers), Field(alias="schema")] = None
    """Avro record schema of the properties, applied to plain JSON; null: any properties"""
    fill_defaults: Annotated[bool | None, Field(exclude_if=lambda value: value is None)] = None
    """whether filters, values and dimensions use the schema's default for a field that an event omits; true if not
    given, but false for entries published before this field existed, until they are published again; null if the
    schema has no default other than null"""

    @model_validator(mode="after")
    def _schema_stands(self, info: ValidationInfo) -> Self:
        fills = None
        if self.avro is not None and Defaults(parse_schema(self.avro)).any:
            fills = not is_stored(info) if self.fill_defaults is None else self.fill_defaults
        object.__setattr__(self, "fill_defaults", fills)  # during validation, before the frozen model is handed out
        return self
