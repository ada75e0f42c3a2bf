"""One profile version evaluated over columns of many events of one name, and what comes of it.

Exceptional values (a number that is not integer text, a value that cannot be metered) are evaluated by the functions of
``rules`` and ``values.quantity``, so that events have the same meaning everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.catalog.profiles import ProfileVersion
from schemas.event_schema.filled import Defaults, Steps, lookup_filled
from schemas.filters import MISSING, Path, Predicate, compile_test, lookup
from schemas.matching.equality import Picked
from schemas.matching.rules import Rule, text_form
from schemas.values.json_text import canonical
from schemas.values.quantity import MISSING as MISSING_VALUE
from schemas.values.quantity import UNIT, Unmeterable, scaled

Rows = NDArray[np.int64]
_REMEMBERED: Final = 1024  # texts whose verdict a filter remembers
_PLAIN_LIMIT: Final = (1 << 63) // UNIT  # integers below this limit can be scaled in 64 bits


@dataclass(frozen=True, slots=True)
class RuleMatches:
    """The records of one profile version. ``rows``: the matching events, ascending; ``units``: quantities × 10^12,
    as int64 if all fit, else Python ints. ``unique_values`` and ``dimensions`` are None if all are empty."""

    profile_id: str
    profile_version: int
    rows: Rows
    units: NDArray[np.int64] | list[int]
    unique_values: list[str] | None = None
    dimensions: list[str] | None = None


@dataclass(frozen=True, slots=True)
class RuleFailures:
    """Events whose value a profile version could not measure, with the reasons."""

    profile_id: str
    rows: Rows
    reasons: list[str]


@dataclass(slots=True)
class Events:
    """Events of one name. ``keys`` is called only if a profile needs the idempotency keys."""

    rows: Rows
    timestamps_us: NDArray[np.int64]
    properties: list[bytes]
    keys: Callable[[], list[str]]


@dataclass(slots=True)
class Matches:
    """Matching results by profile version, in the order of the rules for each event."""

    matched: list[RuleMatches] = field(default_factory=list)
    failed: list[RuleFailures] = field(default_factory=list)


class RememberedTest:
    """A filter's test over a column, which looks at each distinct text once. For one thread."""

    def __init__(self, test: Predicate) -> None:
        self._test = test
        self._verdicts: dict[Any, bool] = {}

    def of_all(self, values: Sequence[Any]) -> NDArray[np.bool_]:
        """For each value whether it passes."""
        try:
            return np.fromiter(map(self._verdicts.__getitem__, values), np.bool_, len(values))
        except (KeyError, TypeError):  # a value that is new, or is no text
            pass
        texts = {value for value in values if type(value) is str or value is MISSING}
        if len(texts) <= _REMEMBERED:
            if len(self._verdicts) + len(texts) > _REMEMBERED:
                self._verdicts.clear()
            self._verdicts |= {value: self._test(value) for value in texts}
        return np.fromiter(map(self._test, values), np.bool_, len(values))


class RuleColumns:
    """One profile version evaluated over columns; ``names``: property → attribute of the decoded struct, extended
    as needed; ``indexed``: position of a filter that an index answers instead."""

    def __init__(
        self,
        version: ProfileVersion,
        rule: Rule,
        names: dict[str, str],
        defaults: Defaults,
        exactly: bool,
        indexed: int | None,
    ) -> None:
        def getter(path: Path) -> Callable[[Any], Any]:
            return named_getter(path, names, defaults)

        self.rule = rule
        self._exactly = exactly
        self._filters: tuple[tuple[Callable[[Any], Any], RememberedTest], ...] = tuple(
            (getter(item.property), RememberedTest(compile_test(item.operator, item.value)))
            for position, item in enumerate(version.filters)
            if position != indexed
        )
        self._value = getter(version.property) if version.property is not None else None
        self.quantity_path = None if version.aggregation == "count_unique" else version.property
        self._aggregation = version.aggregation
        self._unique_form = text_form if version.by_text else canonical
        self._dimensions = tuple((".".join(path), getter(path)) for path in version.dimensions)
        self._texts: dict[tuple[str, ...], str] = {}

    def match(
        self,
        events: Events,
        parsed: list[Any],
        first_us: int,
        last_us: int,
        into: Matches,
        picked: Picked | None,
        all_units: NDArray[np.int64] | None = None,
    ) -> None:
        """Append the results to ``into``. ``picked``: the events to look at, None for all; ``first_us``, ``last_us``:
        the least and the greatest of all timestamps; ``all_units``: ``plain_units`` of all events, if known."""
        rule, rows = self.rule, events.rows
        if rule.valid_from_us > first_us or rule.valid_to_us <= last_us:
            stamps = events.timestamps_us if picked is None else events.timestamps_us[picked]
            valid = ((stamps >= rule.valid_from_us) & (stamps < rule.valid_to_us)).nonzero()[0]
            picked = valid if picked is None else picked[valid]
        for get, test in self._filters:
            matching = parsed if picked is None else [parsed[index] for index in picked.tolist()]
            passing = test.of_all(list(map(get, matching)))
            picked = passing.nonzero()[0] if picked is None else picked[passing]
        if picked is not None:
            rows = rows[picked]
        if not len(rows):
            return
        if self._value is None:
            self._give(
                rows, np.full(len(rows), UNIT, np.int64), None, _some(parsed, picked) if self._dimensions else [], into
            )
            return
        if all_units is not None and picked is not None:
            keys = events.keys() if self._aggregation == "latest" else None
            uniques = None if keys is None else [keys[index] for index in picked.tolist()]
            matching = _some(parsed, picked) if self._dimensions else []
            self._give(rows, all_units[picked], uniques, matching, into)
            return
        matching = _some(parsed, picked)
        values = list(map(self._value, matching))
        units, uniques, lost = self._measured(values)
        if lost:
            passed = np.ones(len(values), np.bool_)
            passed[list(lost)] = False
            into.failed.append(RuleFailures(rule.profile_id, rows[~passed], list(lost.values())))
            rows, matching = rows[passed], list(compress(matching, passed))
            picked = passed.nonzero()[0] if picked is None else picked[passed]
        if self._aggregation == "latest":
            keys = events.keys()
            uniques = keys if picked is None else [keys[index] for index in picked.tolist()]
        if len(rows):
            self._give(rows, units, uniques, matching, into)

    def _measured(self, values: list[Any]) -> tuple[NDArray[np.int64] | list[int], list[str] | None, dict[int, str]]:
        """(units, unique values) of the measurable values, and index → reason of the others."""
        lost: dict[int, str] = {}
        if self._aggregation == "count_unique":
            uniques = []
            for index, value in enumerate(values):
                if value is MISSING or value is None:
                    lost[index] = MISSING_VALUE
                else:
                    uniques.append(self._unique_form(value))
            return np.full(len(uniques), UNIT, np.int64), uniques, lost
        if (plain := plain_units(values)) is not None:
            return plain, None, lost
        units: list[int] = []
        for index, value in enumerate(values):
            if value is MISSING or value is None:
                lost[index] = MISSING_VALUE
                continue
            try:
                units.append(scaled(value, self._exactly))
            except Unmeterable as reason:
                lost[index] = str(reason)
        return units, None, lost

    def _give(
        self,
        rows: Rows,
        units: NDArray[np.int64] | list[int],
        uniques: list[str] | None,
        matching: list[Any],
        into: Matches,
    ) -> None:
        dimensions = [self._dimension_text(properties) for properties in matching] if self._dimensions else None
        into.matched.append(
            RuleMatches(self.rule.profile_id, self.rule.profile_version, rows, units, uniques, dimensions)
        )

    def _dimension_text(self, parsed: Any) -> str:
        values = [(name, value) for name, get in self._dimensions if (value := get(parsed)) is not MISSING]
        if not all(type(value) is str for _, value in values):
            return canonical(dict(values))
        key = tuple(text for pair in values for text in pair)
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= 1024:
                self._texts.clear()
            text = self._texts[key] = canonical(dict(values))
        return text


def plain_units(values: Sequence[Any]) -> NDArray[np.int64] | None:
    """The values as quantities × 10^12, if all are integers that fit."""
    if set(map(type, values)) == {int} and min(values) > -_PLAIN_LIMIT and max(values) < _PLAIN_LIMIT:
        return np.array(values, np.int64) * UNIT
    return None


def _some(parsed: list[Any], picked: NDArray[np.intp] | None) -> list[Any]:
    return parsed if picked is None else [parsed[index] for index in picked.tolist()]


def named_getter(path: Path, names: dict[str, str], defaults: Defaults) -> Callable[[Any], Any]:
    """Reads a property of a decoded event; ``names`` is extended by its first step."""
    return _getter(names.setdefault(path[0], f"p{len(names)}"), path[1:], defaults.steps(path))


def _getter(attribute: str, inner_path: Path, steps: Steps | None) -> Callable[[Any], Any]:
    if not inner_path:
        return attrgetter(attribute)
    if steps is not None:
        below = steps[1:]
        return lambda parsed: lookup_filled(getattr(parsed, attribute), below)
    return lambda parsed: lookup(getattr(parsed, attribute), inner_path)
