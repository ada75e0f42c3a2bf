"""Matches one event against profile versions and computes its quantities: a pure function of event and catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from schemas.catalog.meters import Filter
from schemas.catalog.profiles import ProfileVersion
from schemas.event_schema.filled import NO_DEFAULTS, Defaults
from schemas.filters import MISSING, Predicate, compile_test
from schemas.values.json_text import canonical, exact
from schemas.values.quantity import MISSING as MISSING_VALUE
from schemas.values.quantity import UNIT, Unmeterable, scaled


class Match(NamedTuple):
    """A record; ``units``: quantity × 10^12."""

    profile_id: str
    profile_version: int
    units: int
    unique_value: str
    dimensions: str


class Matched(NamedTuple):
    """The result of an event: its records, and the profiles that could not measure it as (profile_id, reason)."""

    matches: tuple[Match, ...]
    unmeterable: tuple[tuple[str, str], ...]


UNMATCHED = Matched((), ())

Measure = Callable[[Any, str], tuple[int, str]]
Getter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled profile version. ``measure`` maps (properties, idempotency key) to (units, unique value)."""

    profile_id: str
    profile_version: int
    valid_from_us: int
    valid_to_us: int
    filters: tuple[Predicate, ...]
    measure: Measure
    dimensions: tuple[tuple[str, Getter], ...]
    constant: Match | None  # the record of every event, if the profile uses no filter, value or dimension


def _measure(version: ProfileVersion, defaults: Defaults, exactly: bool) -> Measure:
    if version.property is None:
        return lambda properties, key: (UNIT, "")
    get = defaults.getter(version.property)
    if version.aggregation == "count_unique":
        form = text_form if version.by_text else canonical

        def unique(properties: Any, key: str) -> tuple[int, str]:
            value = get(properties)
            if value is MISSING or value is None:
                raise Unmeterable(MISSING_VALUE)
            return UNIT, form(value)

        return unique
    keeps_key = version.aggregation == "latest"

    def value_of(properties: Any, key: str) -> tuple[int, str]:
        value = get(properties)
        if value is MISSING or value is None:
            raise Unmeterable(MISSING_VALUE)
        return scaled(value, exactly), key if keeps_key else ""

    return value_of


def text_form(value: Any) -> str:
    """As ``canonical``, but non-text values are converted to text first: 42 becomes "42"."""
    return canonical(value if isinstance(value, str) else canonical(value))


def _passing(item: Filter, defaults: Defaults) -> Predicate:
    get, test = defaults.getter(item.property), compile_test(item.operator, item.value)
    return lambda properties: test(get(properties))


def compile_rule(version: ProfileVersion, defaults: Defaults = NO_DEFAULTS, exactly: bool = False) -> Rule:
    """Compile one profile version. ``defaults``: values for omitted fields; ``exactly``: without rounding of
    numbers, the rule of older releases (``quantity.scaled``)."""
    constant = None
    if version.aggregation == "count" and not version.filters and not version.dimensions:
        constant = Match(version.profile_id, version.version, UNIT, "", "")
    return Rule(
        version.profile_id,
        version.version,
        version.valid_from_us,
        version.valid_to_us,
        tuple(_passing(item, defaults) for item in version.filters),
        _measure(version, defaults, exactly),
        tuple((".".join(path), defaults.getter(path)) for path in version.dimensions),
        constant,
    )


class Matcher:
    """All rules of a namespace as of one catalog offset, by event name; ``defaults``: returns the default values of
    an event name's type."""

    def __init__(
        self,
        versions: Iterable[ProfileVersion],
        defaults: Callable[[str], Defaults] = lambda name: NO_DEFAULTS,
        exactly: bool = False,
    ) -> None:
        self._rules: dict[str, tuple[Rule, ...]] = {}
        for version in versions:
            if version.valid_from_us < version.valid_to_us:
                self._rules[version.event_name] = (
                    *self._rules.get(version.event_name, ()),
                    compile_rule(version, defaults(version.event_name), exactly),
                )

    @classmethod
    def of(cls, versions: Iterable[ProfileVersion], defaults: Defaults, exactly: bool = False) -> Self:
        """A matcher with the same default values for all events."""
        return cls(versions, lambda name: defaults, exactly)

    def rules(self, event_name: str) -> tuple[Rule, ...]:
        """The rules for events of this name."""
        return self._rules.get(event_name, ())

    def match(self, event_name: str, timestamp_us: int, idempotency_key: str, properties: str) -> Matched:
        """Match an event against the versions valid at its timestamp."""
        rules = self._rules.get(event_name)
        if rules is None:
            return UNMATCHED
        return match_rules(rules, timestamp_us, idempotency_key, properties)


def match_rules(rules: Iterable[Rule], timestamp_us: int, idempotency_key: str, properties: str) -> Matched:
    """Match one event against ``rules``. Raises ValueError if the properties are not JSON."""
    matches: list[Match] = []
    unmeterable: list[tuple[str, str]] = []
    parsed: Any = None
    for rule in rules:
        if not rule.valid_from_us <= timestamp_us < rule.valid_to_us:
            continue
        if rule.constant is not None:
            matches.append(rule.constant)
            continue
        if parsed is None:
            parsed = exact(properties)
        for passes in rule.filters:
            if not passes(parsed):
                break
        else:
            try:
                units, unique_value = rule.measure(parsed, idempotency_key)
            except Unmeterable as reason:
                unmeterable.append((rule.profile_id, str(reason)))
                continue
            dimensions = dimension_text(rule.dimensions, parsed) if rule.dimensions else ""
            matches.append(Match(rule.profile_id, rule.profile_version, units, unique_value, dimensions))
    if not unmeterable:
        return Matched(tuple(matches), ()) if matches else UNMATCHED
    return Matched(tuple(matches), tuple(unmeterable))


def dimension_text(dimensions: Iterable[tuple[str, Getter]], properties: Any) -> str:
    """Canonical JSON of dimension name → value, without dimensions that the event lacks."""
    values = {name: value for name, get in dimensions if (value := get(properties)) is not MISSING}
    return canonical(values)


def failing_filter(version: ProfileVersion, properties: Any, defaults: Defaults = NO_DEFAULTS) -> Filter | None:
    """The first filter that rejects the event, None if all pass; used by `weir doctor`."""
    for item in version.filters:
        if not _passing(item, defaults)(properties):
            return item
    return None
