"""Whether one event can pass two profiles' filters: a "no" is always right, and the ordinary ways of telling events
apart give it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.meters import Filter
from schemas.filters import compile_filter
from schemas.matching.overlap import Budget, Measuring, can_both_match, contradictory, double_billed


def where(path: str, operator: str, value: Any = None) -> Filter:
    return Filter.model_validate({"property": path.split("."), "operator": operator, "value": value})


def measuring(charge: str, *filters: Filter, path: str | None = "s", event: str = "call") -> Measuring:
    aggregation: Any = "count" if path is None else "sum"
    return Measuring(charge, f"m.{charge}", event, aggregation, None if path is None else (path,), filters)


VALUES = st.sampled_from([0, 1, 2, 5, "US", "USA", "FR", "1", "", True, None, [1, "US"], {"b": 1}, {"b": "US"}, {}])
FILTERS = st.one_of(
    st.tuples(
        st.sampled_from(["in", "not_in"]),
        st.lists(st.sampled_from([0, 1, 2, "US", "FR", "1", True, None]), min_size=1, max_size=3),
    ),
    st.tuples(st.sampled_from(["eq", "ne"]), st.sampled_from([0, 1, "US", "1", None, True])),
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from([0, 1, 2, 1.5])),
    st.tuples(st.just("exists"), st.booleans()),
    st.tuples(st.sampled_from(["contains", "starts_with"]), st.sampled_from(["U", "US", "F", ""])),
)
SETS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "a.b", "a.b.c"]), FILTERS).map(lambda pair: where(pair[0], *pair[1])),
    max_size=5,
)


@given(SETS, st.lists(st.dictionaries(st.sampled_from(["a", "b"]), VALUES), min_size=1, max_size=20))
def test_filters_that_an_event_passes_are_never_called_contradictory(
    filters: list[Filter], events: list[dict[str, Any]]
) -> None:
    tests = [compile_filter(item.property, item.operator, item.value) for item in filters]
    if any(all(test(event) for test in tests) for event in events):
        assert not contradictory(filters)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (where("country", "eq", "US"), where("country", "ne", "US")),
        (where("country", "in", ["US", "CA"]), where("country", "not_in", ["CA", "US"])),
        (where("country", "in", ["US"]), where("country", "in", ["FR", "DE"])),
        (where("size", "lt", 10), where("size", "gte", 10)),
        (where("size", "lte", "10"), where("size", "gt", 10)),
        (where("user.test", "exists", True), where("user.test", "exists", False)),
        (where("model", "starts_with", "gpt"), where("model", "starts_with", "claude")),
        (where("size", "eq", 3), where("size", "gt", 3)),
        (where("to", "eq", "US"), where("to.country", "exists", True)),
        (where("to", "gt", 1), where("to.country", "eq", "US")),
    ],
)
def test_ordinary_ways_to_tell_events_apart(one: Filter, other: Filter) -> None:
    assert not can_both_match(measuring("a", one), measuring("b", other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((), ()),
        ((where("country", "in", ["US", "CA"]),), (where("country", "in", ["CA", "FR"]),)),
        ((where("size", "lte", 10),), (where("size", "gte", 10),)),
        ((where("country", "eq", "US"),), (where("model", "eq", "gpt"),)),
        ((where("country", "ne", "US"),), (where("country", "ne", "FR"),)),
        ((where("model", "starts_with", "gpt"),), (where("model", "starts_with", "gpt-4"),)),
    ],
)
def test_profiles_that_both_match_are_named(one: tuple[Filter, ...], other: tuple[Filter, ...]) -> None:
    assert can_both_match(measuring("a", *one), measuring("b", *other))
    assert double_billed([measuring("a", *one), measuring("b", *other)], Budget()) == [
        "charges a (m.a) and b (m.b) can bill one event call both, each by sum of s"
    ]
    assert not can_both_match(measuring("a", *one), measuring("b", *other, event="sms"))


def test_charges_by_different_values_are_told_in_one_sentence() -> None:
    result = double_billed(
        [measuring("in", path="input"), measuring("out", path="output"), measuring("calls", path=None)], Budget()
    )
    assert result == [
        "charges in (sum of input), out (sum of output), calls (count) can bill one event "
        "call each, by different values"
    ]


def test_what_is_compared_is_bounded() -> None:
    large = where("country", "in", [f"c{number}" for number in range(8000)])
    charges = [measuring(f"c{number}", large) for number in range(50)]
    assert double_billed(charges, Budget())[-1] == "charges on events call: too many to compare all of them"
