"""Matches many events of one name at once, profile by profile, with the same results as ``match_rules`` at a third
of the cost.

Properties are decoded only as far as profiles need them, filters and values are evaluated over whole columns
(``rule_columns``), and of profiles that compare one property for equality only those of an event's value are looked at
(``equality``). Text that is not JSON is evaluated by the functions of ``rules``, so that events have the same meaning
everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.catalog.profiles import ProfileVersion
from schemas.event_schema.filled import NO_DEFAULTS, Defaults
from schemas.filters import MISSING, Path, equals_one_of
from schemas.matching.equality import EqualityIndex, Picked, distinguishing
from schemas.matching.rule_columns import (
    Events,
    Matches,
    RuleColumns,
    RuleFailures,
    RuleMatches,
    named_getter,
    plain_units,
)
from schemas.matching.rules import Match, compile_rule, match_rules
from schemas.values.json_text import decimal

_MANY: Final = 8  # rules whose quantities are read at once
_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\]')


class ColumnMatcher:
    """All rules of a namespace as of one catalog offset, by event name.

    ``defaults``: returns the default values of an event name's type; ``exactly``: without rounding of numbers
    (``quantity.scaled``).
    """

    def __init__(
        self,
        versions: Iterable[ProfileVersion],
        defaults: Callable[[str], Defaults] = lambda name: NO_DEFAULTS,
        exactly: bool = False,
    ) -> None:
        self._defaults, self._exactly = defaults, exactly
        by_name: dict[str, list[ProfileVersion]] = {}
        for version in versions:
            if version.valid_from_us < version.valid_to_us:
                by_name.setdefault(version.event_name, []).append(version)
        self._versions = by_name
        self._names: dict[str, _NameRules] = {}  # compiled when the first event of a name arrives
        self.weight = 1 + sum(_weight(version) for versions in by_name.values() for version in versions)

    def knows(self, event_name: str) -> bool:
        """Whether any profile matches events of this name."""
        return event_name in self._versions

    def rules(self, event_name: str) -> int:
        """Number of profile versions that match events of this name."""
        return len(self._versions.get(event_name, ()))

    def match(self, event_name: str, events: Events, into: Matches) -> None:
        """Match the events and append the results to ``into``."""
        versions = self._versions.get(event_name)
        if versions is None or not len(events.rows):
            return
        rules = self._names.get(event_name)
        if rules is None:
            rules = self._names[event_name] = _NameRules(versions, self._defaults(event_name), self._exactly)
        rules.match(events, into)


def _weight(version: ProfileVersion) -> int:
    """Approximate number of small objects in the version's rule, including the values of its filters."""
    return 10 + sum(len(item.value) if isinstance(item.value, list) else 1 for item in version.filters)


class _NameRules:
    """The rules for events of one name."""

    def __init__(self, versions: Sequence[ProfileVersion], defaults: Defaults, exactly: bool) -> None:
        self._rules = tuple(compile_rule(version, defaults, exactly) for version in versions)
        names: dict[str, str] = {}
        indexed = distinguishing([version.filters for version in versions])
        position_by_rule = {number: at for numbers in indexed.values() for number, at in numbers.items()}
        self._columns = tuple(
            RuleColumns(version, rule, names, defaults, exactly, position_by_rule.get(number))
            for number, (version, rule) in enumerate(zip(versions, self._rules, strict=True))
        )
        self._unindexed = [number for number in range(len(versions)) if number not in position_by_rule]
        self._indexes = [
            EqualityIndex(
                named_getter(path, names, defaults),
                {
                    number: equals_one_of(item.operator, item.value) or ()
                    for number, at in numbers.items()
                    for item in versions[number].filters[at : at + 1]
                },
            )
            for path, numbers in indexed.items()
        ]
        self._quantities = {
            path: named_getter(path, names, defaults)
            for column in self._columns
            if (path := column.quantity_path) is not None
        }
        self._span = (
            min((self._rules[number].valid_from_us for number in position_by_rule), default=0),
            max((self._rules[number].valid_to_us for number in position_by_rule), default=0),
        )
        # The decoder's structs do not support field names that JSON must escape.
        self._unfit = any(_ESCAPED.search(name) for name in names)
        self._decode = _decoder(names, defaults) if names and not self._unfit else None

    def match(self, events: Events, into: Matches) -> None:
        first_us, last_us = int(events.timestamps_us.min()), int(events.timestamps_us.max())
        try:
            matches = self._one_by_one(events) if self._unfit else self._by_columns(events, first_us, last_us)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            matches = self._one_by_one(events)
        into.matched += matches.matched
        into.failed += matches.failed

    def _by_columns(self, events: Events, first_us: int, last_us: int) -> Matches:
        parsed: list[Any] | None = None
        picked: dict[int, Picked] = {}
        if self._indexes and self._decode is not None and self._span[0] <= last_us and first_us < self._span[1]:
            parsed = list(map(self._decode, events.properties))
            for index in self._indexes:
                picked |= index.candidates(parsed)
        all_units = self._shared_units(parsed, picked) if parsed is not None and len(picked) >= _MANY else {}
        matches = Matches()
        for number in sorted([*self._unindexed, *picked]) if picked else self._unindexed:
            column = self._columns[number]
            if column.rule.valid_from_us > last_us or column.rule.valid_to_us <= first_us:
                continue
            if parsed is None and self._decode is not None and column.rule.constant is None:
                parsed = list(map(self._decode, events.properties))
            units = all_units.get(column.quantity_path) if all_units and number in picked else None
            column.match(events, parsed or [], first_us, last_us, matches, picked.get(number), units)
        return matches

    def _shared_units(
        self, parsed: Sequence[Any], picked: Mapping[int, Picked]
    ) -> dict[Path | None, NDArray[np.int64] | None]:
        """Property path → its quantities of all events, for the paths that many of the picked rules measure for many of
        the events: read at once, they cost less than rule by rule."""
        rules: dict[Path, list[int]] = {}
        for number in picked:
            if (path := self._columns[number].quantity_path) is not None:
                rules.setdefault(path, []).append(number)
        return {
            path: plain_units(list(map(self._quantities[path], parsed)))
            for path, numbers in rules.items()
            if len(numbers) >= _MANY and sum(len(picked[number]) for number in numbers) * 4 >= len(parsed)
        }

    def _one_by_one(self, events: Events) -> Matches:
        """As ``match``, for events of which some cannot be decoded; those give no records."""
        matched = Matches()
        readable: list[tuple[int, int, str, str]] = []
        columns = (events.rows.tolist(), events.timestamps_us.tolist(), events.keys(), events.properties)
        for row, stamp, key, properties in zip(*columns, strict=True):
            text = properties.decode()
            try:
                match_rules(self._rules, stamp, key, text)
            except ValueError:
                continue
            readable.append((row, stamp, key, text))
        for rule in self._rules:
            matches: list[tuple[int, Match]] = []
            failures: list[tuple[int, str]] = []
            for row, stamp, key, text in readable:
                given = match_rules((rule,), stamp, key, text)
                matches += [(row, match) for match in given.matches]
                failures += [(row, reason) for _, reason in given.unmeterable]
            if matches:
                units, uniques, dimensions = zip(*[match[2:] for _, match in matches], strict=True)
                rows = np.array([row for row, _ in matches], np.int64)
                matched.matched.append(
                    RuleMatches(
                        rule.profile_id, rule.profile_version, rows, list(units), list(uniques), list(dimensions)
                    )
                )
            if failures:
                rows = np.array([row for row, _ in failures], np.int64)
                matched.failed.append(RuleFailures(rule.profile_id, rows, [reason for _, reason in failures]))
        return matched


def _decoder(names: dict[str, str], defaults: Defaults) -> Callable[[bytes], Any]:
    def absent(name: str) -> Any:
        steps = defaults.steps((name,))
        default = MISSING if steps is None else steps[0][1]
        # All events share one default value, since nothing modifies it.
        return msgspec.field(default_factory=lambda: default) if isinstance(default, dict | list) else default

    shape = msgspec.defstruct(
        "Needed",
        [(attribute, Any, absent(name)) for name, attribute in names.items()],
        rename={attribute: name for name, attribute in names.items()},
        gc=False,
    )
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(shape, float_hook=decimal).decode
    return decode
