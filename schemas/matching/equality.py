"""Tells by the value of one property which of many rules can match an event, where each of them compares that property
for equality: one look-up an event in place of one test a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.catalog.meters import Filter
from schemas.filters import MISSING, Path, equals_one_of
from schemas.values.json_text import canonical

Picked = NDArray[np.intp]
"""Indexes of events, ascending."""
_FEWEST: Final = 2  # rules that an index is worth its while for


def distinguishing(rules: Sequence[Sequence[Filter]]) -> dict[Path, dict[int, int]]:
    """Property path → rule number → position of its filter on that property, one that compares for equality.

    ``rules``: the filters of each rule. Each rule is under at most one path, the one with the most different values
    among all rules, so that few rules remain for each event. Paths of a single rule are left out.
    """
    values: dict[Path, set[str]] = {}
    for filters in rules:
        for item in filters:
            if (accepted := equals_one_of(item.operator, item.value)) is not None:
                values.setdefault(item.property, set()).update(map(canonical, accepted))
    chosen: dict[Path, dict[int, int]] = {}
    for number, filters in enumerate(rules):
        positions = [position for position, item in enumerate(filters) if item.operator in ("eq", "in")]
        if positions:
            best = max(positions, key=lambda position: len(values[filters[position].property]))
            chosen.setdefault(filters[best].property, {})[number] = best
    return {path: numbers for path, numbers in chosen.items() if len(numbers) >= _FEWEST}


class EqualityIndex:
    """Rules by the values that they accept of one property.

    ``get``: reads the property of a parsed event, or MISSING; ``accepted``: rule number → the values. As the filters
    do, it takes numbers by value, and tells them from text and from true and false.
    """

    def __init__(self, get: Callable[[Any], Any], accepted: Mapping[int, Iterable[Any]]) -> None:
        self._get = get
        by_text: dict[str, list[int]] = {}
        by_form: dict[str, list[int]] = {}
        for number, values in accepted.items():
            for form, value in {canonical(value): value for value in values}.items():
                if isinstance(value, str):
                    by_text.setdefault(value, []).append(number)
                else:
                    by_form.setdefault(form, []).append(number)
        # Values that the same rules accept share a group, so that events are told apart no further than needed.
        groups: dict[tuple[int, ...], int] = {}
        self._by_text = {text: groups.setdefault(tuple(numbers), len(groups)) for text, numbers in by_text.items()}
        self._by_form = {form: groups.setdefault(tuple(numbers), len(groups)) for form, numbers in by_form.items()}
        self._groups = tuple(groups)

    def candidates(self, events: Sequence[Any]) -> dict[int, Picked]:
        """Rule number → the events whose value it accepts; rules that accept none are left out."""
        picked: dict[int, list[int]] = {}
        text_group, form_group = self._by_text.get, self._by_form.get
        for index, value in enumerate(map(self._get, events)):
            if isinstance(value, str):
                group = text_group(value)
            elif value is MISSING or not self._by_form:
                continue
            else:
                group = form_group(canonical(value))
            if group is None:
                continue
            if group in picked:
                picked[group].append(index)
            else:
                picked[group] = [index]
        parts: dict[int, list[Picked]] = {}
        for group, indexes in picked.items():
            part = np.array(indexes, np.intp)
            for number in self._groups[group]:
                parts.setdefault(number, []).append(part)
        return {
            number: several[0] if len(several) == 1 else np.sort(np.concatenate(several))
            for number, several in parts.items()
        }
