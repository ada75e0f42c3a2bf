"""Whole columns or one event at a time: the same records, in the same order, and the same failures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog.meters import Filter
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.matching.columns import ColumnMatcher, Events, Matches
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


@settings(max_examples=300)
@given(versions(), st.lists(st.tuples(PROPERTIES, st.integers(0, 9)), min_size=1, max_size=8))
def test_columns_give_what_one_event_at_a_time_gives(
    rules: list[ProfileVersion], events: list[tuple[str, int]]
) -> None:
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
    one_by_one = Matcher(rules)
    for number, (text, stamp) in enumerate(events):
        try:
            expected = one_by_one.match("e", stamp, keys[number], text)
        except ValueError:
            expected = UNMATCHED
        assert given_to(matches, 10 + number) == expected


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
