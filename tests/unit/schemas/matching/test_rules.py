"""Matching: which profile versions an event belongs to, by its own timestamp, whatever else happens."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.catalog.meters import Filter, Profile
from schemas.catalog.profiles import ProfileVersion
from schemas.matching.rules import UNMATCHED, Match, Matcher, failing_filter
from schemas.values.json_text import canonical, exact
from schemas.values.quantity import UNIT


def version(profile: str = "p", number: int = 1, **extra: Any) -> ProfileVersion:
    fields: dict[str, Any] = {
        "profile_id": f"m.{profile}",
        "version": number,
        "meter": "m",
        "profile": profile,
        "name": "",
        "unit": "",
        "event_name": "e",
        "aggregation": "sum",
        "property": ("n",),
        "filters": (),
        "dimensions": (),
        "window_seconds": 86_400,
    }
    return ProfileVersion(**(fields | extra))


def where(name: str, operator: str, value: Any = None) -> Filter:
    return Filter.model_validate({"property": name, "operator": operator, "value": value})


COUNT: dict[str, Any] = {"aggregation": "count", "property": None}


def test_the_version_valid_at_the_events_timestamp_counts() -> None:
    matcher = Matcher([version(number=1, valid_to_us=100), version(number=2, valid_from_us=100)])
    versions = [matcher.match("e", stamp, "k", '{"n":1}').matches[0].profile_version for stamp in (-5, 99, 100, 10**18)]
    assert versions == [1, 1, 2, 2]
    bounded = Matcher([version(valid_from_us=10, valid_to_us=20)])
    assert [len(bounded.match("e", stamp, "k", '{"n":1}').matches) for stamp in (9, 10, 19, 20)] == [0, 1, 1, 0]
    assert Matcher([version(valid_from_us=5, valid_to_us=5)]).rules("e") == ()


def test_an_event_may_match_several_profiles_each_with_its_filters() -> None:
    matcher = Matcher(
        [
            version("all", **COUNT),
            version("eu", filters=(where("region", "eq", "eu"),), **COUNT),
            version("big", filters=(where("region", "eq", "eu"), where("n", "gt", 5)), **COUNT),
            version("other", event_name="f", **COUNT),
        ]
    )
    item = matcher.match("e", 0, "k", '{"region":"eu","n":3}')
    assert [match.profile_id for match in item.matches] == ["m.all", "m.eu"]
    assert matcher.match("unknown", 0, "k", "{}") == UNMATCHED


@pytest.mark.parametrize(
    ("aggregation", "value", "units", "unique"),
    [
        ("sum", "1.5", 1_500_000_000_000, ""), ("sum", '"1.5"', 1_500_000_000_000, ""), ("max", "-3", -3 * UNIT, ""),
        ("min", "0", 0, ""), ("latest", "7", 7 * UNIT, "key"), ("count_unique", '"a"', UNIT, '"a"'),
        ("count_unique", "1.0", UNIT, "1"), ("sum", "114.97809459641576", 114_978_094_596_416, ""),
        ("max", "1e-13", 0, ""),
        ("count_unique", "0.12345678901234", UNIT, "0.12345678901234"), ("count_unique", "true", UNIT, "true"),
        ("count_unique", '{"b":1,"a":[]}', UNIT, '{"a":[],"b":1}'),
    ],
)  # fmt: skip
def test_what_each_aggregation_keeps(aggregation: str, value: str, units: int, unique: str) -> None:
    match = Matcher([version(aggregation=aggregation)]).match("e", 0, "key", f'{{"n":{value}}}')
    assert match.matches == (Match("m.p", 1, units, unique, ""),)
    assert match.unmeterable == ()


@pytest.mark.parametrize(
    ("aggregation", "properties", "reason"),
    [
        ("sum", "{}", "missing"), ("sum", '{"n":null}', "missing"), ("sum", '{"n":"x"}', "not_a_number"),
        ("sum", '{"n":true}', "not_a_number"), ("max", '{"n":[]}', "not_a_number"),
        ("latest", '{"n":1e30}', "out_of_range"),
        ("min", '{"n":1e99999999999999999999}', "out_of_range"),
        ("count_unique", "{}", "missing"), ("count_unique", '{"n":null}', "missing"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_measured_is_reported_and_the_others_count(
    aggregation: str, properties: str, reason: str
) -> None:
    item = Matcher([version(aggregation=aggregation), version("c", **COUNT)]).match("e", 0, "k", properties)
    assert item.unmeterable == (("m.p", reason),)
    assert [match.profile_id for match in item.matches] == ["m.c"]


def test_a_refused_event_is_not_unmeterable() -> None:
    match = Matcher([version(filters=(where("go", "eq", 1),))]).match("e", 0, "k", "{}")
    assert match == UNMATCHED


def test_dimensions_are_canonical_and_leave_out_what_is_missing() -> None:
    matcher = Matcher([version(dimensions=(("region",), ("model", "name")), **COUNT)])
    texts = [
        matcher.match("e", 0, "k", properties).matches[0].dimensions
        for properties in ('{"region":"eu","model":{"name":1.0}}', '{"model":{"name":null}}', "{}")
    ]
    assert texts == ['{"model.name":1,"region":"eu"}', '{"model.name":null}', "{}"]


VALUES = st.sampled_from(["1", "1.0", '"1"', "2.5", '"x"', "null", "true", "[1]", "1e40", '{"a":1}', "-0"])
PROPERTIES = st.dictionaries(st.sampled_from(["n", "f", "d"]), VALUES, max_size=3).map(
    lambda fields: "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"
)
VERSIONS = st.lists(
    st.builds(
        lambda number, aggregation, filters, dimensions, span, event: version(
            f"p{number}",
            number,
            aggregation=aggregation,
            property=None if aggregation == "count" else ("n",),
            filters=tuple(filters),
            dimensions=dimensions,
            event_name=event,
            valid_from_us=min(span),
            valid_to_us=max(span),
        ),
        st.integers(1, 9),
        st.sampled_from(["sum", "count", "count_unique", "max", "min", "latest"]),
        st.lists(st.sampled_from([where("f", "eq", 1), where("f", "exists", False), where("n", "gte", 1)]), max_size=2),
        st.sampled_from([(), (("d",),)]),
        st.tuples(st.integers(0, 20), st.integers(0, 20)),
        st.sampled_from(["e", "f"]),
    ),
    max_size=5,
    unique_by=lambda item: item.version,
)


@given(VERSIONS, st.integers(0, 20), PROPERTIES)
def test_matching_is_each_rule_on_its_own(versions: list[ProfileVersion], stamp: int, properties: str) -> None:
    """No rule disturbs another, and the order of versions only orders the result."""
    together = Matcher(versions).match("e", stamp, "key", properties)
    alone = [Matcher([item]).match("e", stamp, "key", properties) for item in versions]
    assert together.matches == tuple(itertools.chain.from_iterable(item.matches for item in alone))
    assert together.unmeterable == tuple(itertools.chain.from_iterable(item.unmeterable for item in alone))
    reverse = Matcher(versions[::-1]).match("e", stamp, "key", properties)
    assert set(reverse.matches) == set(together.matches)


@given(VERSIONS, st.integers(0, 20), PROPERTIES)
def test_every_version_is_accounted_for(versions: list[ProfileVersion], stamp: int, properties: str) -> None:
    """A valid version either matches, is unmeterable, or a filter refuses the event; the doctor says which."""
    item = Matcher(versions).match("e", stamp, "key", properties)
    outcomes = {match.profile_id for match in item.matches} | {profile for profile, _ in item.unmeterable}
    for result in versions:
        valid = result.event_name == "e" and result.valid_from_us <= stamp < result.valid_to_us
        refused = failing_filter(result, exact(properties))
        assert (result.profile_id in outcomes) == (valid and refused is None)
        if refused is not None:
            assert refused in result.filters


@given(PROPERTIES)
def test_a_constant_rule_gives_what_a_reading_rule_gives(properties: str) -> None:
    """The count of everything never parses properties; a count with a filter that always holds does."""
    fast = Matcher([version(**COUNT)]).match("e", 0, "k", properties)
    slow = Matcher([version(filters=(where("f", "not_in", []),), **COUNT)]).match("e", 0, "k", properties)
    assert fast == slow


@given(st.permutations(['"a":1', '"n":2', '"z":{"y":1,"x":2}']), st.sampled_from(["2", "2.0", "20e-1"]))
def test_the_way_properties_are_written_changes_nothing(fields: list[str], two: str) -> None:
    text = "{ " + " , ".join(field.replace('"n":2', f'"n":{two}') for field in fields) + " }"
    matcher = Matcher(
        [
            version(),
            version("u", aggregation="count_unique", property=("z",)),
            version("d", dimensions=(("n",),), **COUNT),
        ]
    )
    match = matcher.match("e", 0, "k", text)
    assert match.matches == (
        Match("m.p", 1, 2 * UNIT, "", ""),
        Match("m.u", 1, UNIT, canonical({"x": 2, "y": 1}), ""),
        Match("m.d", 1, UNIT, "", '{"n":2}'),
    )


def test_units_are_exact() -> None:
    match = Matcher([version()]).match("e", 0, "k", '{"n":0.1}').matches[0]
    assert Decimal(match.units) / UNIT == Decimal("0.1")


def test_unique_values_are_told_apart_by_value_or_by_text() -> None:
    """A user id that one producer sends as 42 and another as "42" is two users, or one where the profile compares by
    text."""
    ids = ["42", '"42"', "42.0", '"42.0"', "true", '"true"', '{"a":1.0}', '{"a": 1}']

    def uniques(by_text: bool) -> list[str]:
        matcher = Matcher([version(aggregation="count_unique", by_text=by_text)])
        return [matcher.match("e", 0, "k", f'{{"n":{item}}}').matches[0].unique_value for item in ids]

    assert uniques(False) == ["42", '"42"', "42", '"42.0"', "true", '"true"', '{"a":1}', '{"a":1}']
    assert uniques(True) == [
        '"42"',
        '"42"',
        '"42"',
        '"42.0"',
        '"true"',
        '"true"',
        canonical('{"a":1}'),
        canonical('{"a":1}'),
    ]
    assert Matcher([version(aggregation="count_unique", by_text=True)]).match("e", 0, "k", '{"n":null}').matches == ()
    with pytest.raises(ValidationError, match="compare goes with aggregation count_unique only"):
        Profile.model_validate({"code": "p", "aggregation": "sum", "property": "n", "compare": "text"})
    # Another comparison is another version; one that says the default is none.
    assert not version(by_text=True).measures_like(version())
    assert Profile.model_validate({"code": "p", "aggregation": "count", "compare": "value"}) == Profile(
        code="p", aggregation="count"
    )
