"""Whole columns or one event at a time: the same records, in the same order, and the same failures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.meters import Filter
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.matching.columns import ColumnMatcher
from schemas.matching.rule_columns import Events, Matches, RuleColumns
from schemas.matching.rules import UNMATCHED, Match, Matched, Matcher

PATHS = st.sampled_from([("n",), ("country",), ("to", "country"), ("to", "x", "y"), ("ø \"'",)])
SCALARS = st.sampled_from(
    [
        0,
        1,
        -3,
        7,
        9223371,
        9223372,
        9223373,
        -9223372,
        10**25,
        10**26,
        10**40,
        True,
        False,
        None,
        "USA",
        "FR",
        "",
        "1",
        "2.5",
        "x y",
        "1e3",
        " 1",
        '\u00e9"\\',
        [],
        [1],
        ["USA"],
        {},
        {"country": "USA"},
        {"country": 5, "x": {"y": "2"}},
        {"x": 1},
    ]
)
FILTERS = st.one_of(
    st.tuples(st.sampled_from(["in", "not_in"]), st.lists(st.sampled_from(["USA", "FR", 1, True, None]), max_size=3)),
    st.tuples(st.sampled_from(["eq", "ne"]), st.sampled_from(["USA", 1, 2.5, None, True, "1"])),
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from([0, 1, 2.5])),
    st.tuples(st.just("exists"), st.booleans()),
    st.tuples(st.sampled_from(["contains", "starts_with"]), st.sampled_from(["U", "USA", ""])),
)
SPANS = st.sampled_from([(BEGINNING, FOREVER), (BEGINNING, 5), (5, FOREVER), (3, 7), (5, 5), (20, 30)])


@st.composite
def versions(draw: st.DrawFn) -> list[ProfileVersion]:
    collected = []
    for number in range(draw(st.integers(1, 4))):
        aggregation = draw(st.sampled_from(["sum", "count", "count_unique", "max", "min", "latest"]))
        span = draw(SPANS)
        collected.append(
            ProfileVersion(
                profile_id=f"m.p{number}",
                version=draw(st.integers(1, 3)),
                meter="m",
                profile=f"p{number}",
                name="",
                unit="",
                event_name=draw(st.sampled_from(["e", "e", "other"])),
                aggregation=aggregation,
                property=None if aggregation == "count" else draw(PATHS),
                filters=tuple(
                    Filter(property=path, operator=operator, value=value)
                    for path, (operator, value) in draw(st.lists(st.tuples(PATHS, FILTERS), max_size=2))
                ),
                dimensions=tuple(draw(st.lists(PATHS, max_size=2, unique=True))),
                window_seconds=60,
                valid_from_us=span[0],
                valid_to_us=span[1],
                by_text=draw(st.booleans()),
            )
        )
    return collected


PROPERTIES = st.one_of(
    st.dictionaries(st.sampled_from(["n", "country", "to", "ø \"'", "other"]), SCALARS, max_size=5).map(json.dumps),
    st.dictionaries(st.sampled_from(["n", "country", "to"]), st.sampled_from([1, 2, "USA"]), min_size=2).map(
        json.dumps
    ),
    st.sampled_from(
        [
            '{"n":1.50}',
            '{"n":1e30}',
            '{"n":1E-13}',
            '{"n":114.97809459641576}',
            '{"n":"0.0000000000005"}',
            '{"n":-0.0}',
            '{"n":1e99999999999999999999}',
            '{"n":1' + "0" * 5000 + "}",
            '{"other":1e400}',
            '{"other":1' + "0" * 5000 + ',"n":2}',
            '{"n":1,"n":2}',
            '{"\\u006e":3}',
            '{"n":',
            "{}x",
            '{"other":"\\ud800"}',
            '{"to":' + "[" * 3000 + "]" * 3000 + "}",
        ]
    ),
)


@given(versions(), st.lists(st.tuples(PROPERTIES, st.integers(0, 9)), min_size=1, max_size=8))
def test_columns_give_what_one_event_at_a_time_gives(
    rules: list[ProfileVersion], events: list[tuple[str, int]]
) -> None:
    agrees(rules, events)


def agrees(rules: list[ProfileVersion], events: list[tuple[str, int]]) -> None:
    """Whole columns give to each event (properties, timestamp) what the rules give to it alone."""
    keys = [f"key {number}" for number in range(len(events))]
    matches = Matches()
    ColumnMatcher(rules).match(
        "e",
        Events(
            np.arange(10, 10 + len(events)),
            np.array([stamp for _, stamp in events]),
            [text.encode() for text, _ in events],
            lambda: keys,
        ),
        matches,
    )
    assert all((np.diff(item.rows) > 0).all() for item in (*matches.matched, *matches.failed))
    one_by_one = Matcher(rules)
    for number, (text, stamp) in enumerate(events):
        try:
            expected = one_by_one.match("e", stamp, keys[number], text)
        except ValueError:
            expected = UNMATCHED
        assert given_to(matches, 10 + number) == expected


EQUALS = st.one_of(
    st.tuples(st.just("eq"), st.sampled_from(["USA", "1", "", 1, 1.0, 2.5, True, None, {"x": 1}, ["USA"], "é"])),
    st.tuples(st.just("in"), st.lists(st.sampled_from(["USA", "FR", "1", 1, 7, True, False, None, {}]), max_size=4)),
)
TOLD_APART = st.lists(
    st.tuples(
        st.sampled_from([("country",), ("country",), ("to", "country"), ("n",)]),
        st.one_of(EQUALS, EQUALS, EQUALS, FILTERS),
    ),
    max_size=3,
)


@given(
    st.lists(st.tuples(TOLD_APART, SPANS, st.sampled_from(["sum", "count", "latest", "count_unique"])), max_size=12),
    st.lists(st.tuples(PROPERTIES, st.integers(0, 9)), min_size=1, max_size=12),
)
def test_profiles_told_apart_by_equality_give_what_one_event_at_a_time_gives(
    profiles: list[Any], events: list[tuple[str, int]]
) -> None:
    """The index of equality filters: numbers by value, text, null, objects, missing and nested properties, filters
    beside the indexed one, spans, and several profiles for one value."""
    rules = [
        ProfileVersion(
            profile_id=f"m.p{number}", version=1, meter="m", profile=f"p{number}", name="", unit="", event_name="e",
            aggregation=aggregation, property=None if aggregation == "count" else ("n",),
            filters=tuple(Filter(property=path, operator=name, value=value) for path, (name, value) in filters),
            dimensions=(("country",),), window_seconds=60, valid_from_us=span[0], valid_to_us=span[1], by_text=False,
        )
        for number, (filters, span, aggregation) in enumerate(profiles)
    ]  # fmt: skip
    agrees(rules, events)


def counting(number: int, *filters: Filter) -> ProfileVersion:
    return ProfileVersion(
        profile_id=f"m.p{number}", version=1, meter="m", profile=f"p{number}", name="", unit="", event_name="e",
        aggregation="count", property=None, dimensions=(), window_seconds=60, filters=filters,
        valid_from_us=BEGINNING, valid_to_us=FOREVER, by_text=False,
    )  # fmt: skip


def test_a_profile_of_several_values_takes_its_events_in_order() -> None:
    """Also where another profile tells its values apart."""
    rules = [
        counting(0, Filter(property=("n",), operator="in", value=["USA", 1, "FR", "USA", 1.0, True, None])),
        counting(1, Filter(property=("n",), operator="eq", value="USA")),
    ]
    agrees(
        rules, [(json.dumps({"n": value}), 0) for value in ("USA", 1, "FR", "USA", 1.0, "1", True, "FR", None, "true")]
    )


@given(
    st.lists(st.sampled_from(["sum", "max", "latest", "count_unique"]), min_size=10, max_size=10),
    st.lists(st.tuples(st.integers(0, 10), st.integers(-5, 5), st.integers(0, 9)), min_size=20, max_size=40),
    st.sampled_from([None, "2.5", "x", 10**30, 9223373, None, 1.5, True]),
    st.booleans(),
)
def test_quantities_that_many_profiles_measure_are_read_at_once_with_the_same_answer(
    aggregations: list[Any], events: list[tuple[int, int, int]], odd: Any, nested: bool
) -> None:
    """Also where one value is no plain integer, or missing; by profiles with spans, dimensions and further filters."""
    rules = [
        replace(
            counting(
                number,
                Filter(property=("kind",), operator="eq", value=number),
                *([Filter(property=("n",), operator="gt", value=0)] if number % 3 == 0 else []),
            ),
            aggregation=aggregation, property=("to", "x") if nested else ("n",),
            dimensions=(("kind",),) if number % 2 else (), valid_to_us=7 if number % 4 == 0 else FOREVER,
        )
        for number, aggregation in enumerate(aggregations)
    ]  # fmt: skip
    texts = [json.dumps({"kind": kind, "n": value, "to": {"x": value}}) for kind, value, _ in events]
    if odd is not None:
        texts[3] = json.dumps({"kind": events[3][0], "n": odd, "to": {} if odd == "x" else {"x": odd}})
    agrees(rules, [(text, stamp) for text, (_, _, stamp) in zip(texts, events, strict=True)])


def test_an_event_is_looked_at_by_the_profiles_of_its_value_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred profiles, those that want another value cost nothing."""
    rules = [
        counting(
            number,
            Filter(property=("kind",), operator="eq", value="call"),
            Filter(property=("to", "country"), operator="in", value=[f"C{number}", number]),
        )
        for number in range(100)
    ]
    looked: list[str] = []
    match = RuleColumns.match

    def noted(column: Any, *given: Any) -> None:
        looked.append(column.rule.profile_id)
        match(column, *given)

    monkeypatch.setattr(RuleColumns, "match", noted)
    texts = ['{"kind":"call","to":{"country":"C7"}}', '{"kind":"call","to":{"country":9.0}}', '{"kind":"call"}']
    agrees(rules, [(text, 0) for text in texts])
    assert looked == ["m.p7", "m.p9"]


def given_to(expected: Matches, row: int) -> Matched:
    """What the columns give to one row."""

    def at(rows: Any) -> list[int]:
        return [int(index) for index in (rows == row).nonzero()[0]]

    return Matched(
        tuple(
            Match(
                item.profile_id,
                item.profile_version,
                int(item.units[index]),
                item.unique_values[index] if item.unique_values is not None else "",
                item.dimensions[index] if item.dimensions is not None else "",
            )
            for item in expected.matched
            for index in at(item.rows)
        ),
        tuple((item.profile_id, item.reasons[index]) for item in expected.failed for index in at(item.rows)),
    )
