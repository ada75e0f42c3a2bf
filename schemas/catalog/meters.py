"""Catalog models (pydantic) of what is measured: event types, meters, their profiles and filters."""

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

from schemas.catalog.base import Code, Identifier, Model, is_stored
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
Operator = Literal["in", "not_in", "eq", "ne", "gt", "gte", "lt", "lte", "exists", "contains", "starts_with"]
Window = Literal["minute", "hour", "day"]
WINDOW_SECONDS: dict[Window, int] = {"minute": 60, "hour": 3600, "day": 86_400}


def _plain_numbers(value: Any) -> Any:
    """Decimals as the int or float of the same text, so that a dump of the model has a JSON number again. A float is
    taken only where its shortest text is the number as it was written: nothing is rounded. Raises ValueError."""
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
    """path of names below the properties; a bare name is a path of one"""
    operator: Operator
    """how the property is compared"""
    value: Annotated[Any, BeforeValidator(_plain_numbers)] = None
    """what it is compared with: a list for in and not_in, true or false for exists"""

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
    """as people read it"""
    unit: str = ""
    """of its quantities; the meter's where it is empty"""
    aggregation: Aggregation
    """what is made of the events of a period"""
    property: PropertyPath | None = None
    """the value that is aggregated; none for count"""
    filters: tuple[Filter, ...] = ()
    """which events count; all of them must hold, and the meter's"""
    dimensions: tuple[PropertyPath, ...] = ()
    """paths by whose values usage is kept apart, for matrix prices and groups"""
    carry_over: bool = False
    """latest only: a period without events has the last value before it"""
    compare: Literal["value", "text"] = "value"
    """count_unique only: as JSON values, so that 42 and "42" are two, or by their text, so that 42, 42.0 and "42" are
    one"""

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
    """In UTC, so that one instant has one text."""
    if isinstance(value, str):
        value = parse_rfc3339(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("write an RFC 3339 instant, e.g. 2026-01-31T00:00:00Z")
    if not 1970 <= value.year < 2200:
        raise ValueError("no event is of that time; write an instant between 1970 and 2200")
    return value.astimezone(UTC)


class Meter(Model):
    """An event type to measure, with one or more profiles."""

    code: Code
    """its name within the namespace, for ever"""
    name: str = ""
    """as people read it"""
    unit: str = ""
    """of all its profiles that name none"""
    event_name: Identifier | None = None
    """the events that it measures; its code where it is null"""
    filters: tuple[Filter, ...] = ()
    """hold for all its profiles"""
    window: Window = "day"
    """the span that usage is rolled up by"""
    start: Annotated[AwareDatetime, BeforeValidator(_event_instant)] | None = None
    """what this version says holds for events of that instant and later, and ends what versions before it said there;
    in the past: older events are backfilled; null: a first version counts what comes from now on, a later one holds
    from its publication"""
    profiles: Annotated[tuple[Profile, ...], Field(min_length=1, max_length=64)]
    """at least one"""

    @model_validator(mode="after")
    def _codes_differ(self) -> Self:
        codes = [profile.code for profile in self.profiles]
        if doubled := {code for code in codes if codes.count(code) > 1}:
            raise ValueError(
                f"meter {self.code}: profile code {min(doubled)} stands twice; codes of profiles must differ"
            )
        return self


class EventType(Model):
    """A documented event name."""

    model_config = ConfigDict(serialize_by_alias=True)

    code: Identifier
    """the event name"""
    name: str = ""
    """as people read it"""
    description: str = ""
    """for people"""
    compatibility: Compatibility = "backward"
    """what a changed schema must be able to read"""
    avro: Annotated[JsonObject | None, BeforeValidator(_plain_numbers), Field(alias="schema")] = None
    """Avro record schema of the properties, for plain JSON; null: any properties"""
    fill_defaults: Annotated[bool | None, Field(exclude_if=lambda value: value is None)] = None
    """whether filters, values and dimensions take the schema's default where an event leaves a field out: true unless
    it is said, but false for what was published before there was this choice, until it is published again; null where
    the schema has no default but null"""

    @model_validator(mode="after")
    def _schema_stands(self, info: ValidationInfo) -> Self:
        fills = None
        if self.avro is not None and Defaults(parse_schema(self.avro)).any:
            fills = not is_stored(info) if self.fill_defaults is None else self.fill_defaults
        object.__setattr__(self, "fill_defaults", fills)  # once, before anybody has it
        return self
