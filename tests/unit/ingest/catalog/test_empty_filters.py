"""Filters that no event can pass are named, and no filter that some event passes ever is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.catalog.checks.empty_filters import never_faults
from ingest.catalog.document import DocumentError
from ingest.catalog.entries import read_document
from schemas.catalog.meters import Meter
from schemas.filters import compile_filter


def meter(own_value: list[dict[str, Any]], common: list[dict[str, Any]] | None = None) -> Meter:
    return Meter.model_validate(
        {
            "code": "m",
            "filters": common or [],
            "profiles": [{"code": "p", "aggregation": "count", "filters": own_value}],
        }
    )


def item(written: str) -> dict[str, Any]:
    """``"a.b gt 5"``; the value is Python's."""
    path, operator, value = written.split(" ", 2)
    return {"property": path.split("."), "operator": operator, "value": eval(value, {})}


@pytest.mark.parametrize(
    "filters",
    [
        ["c in []"], ["n gt 5", "n lt 3"], ["n gt 5", "n lt 5"], ["n gte 5", "n lt 5"],
        ["n gt 1", "n gte 6", "n lte 5"],
        ["c eq 'a'", "c eq 'b'"], ["c in ['a', 'b']", "c eq 'x'"], ["c in ['a', 'b']", "c not_in ['b', 'a']"],
        ["c eq 'a'", "c ne 'a'"], ["c exists False", "c eq 'a'"], ["c exists False", "c exists True"],
        ["c exists False", "n eq 1", "c gt 2"],
        ["n eq 3", "n gt 3"], ["n eq 'x'", "n lt 3"], ["c starts_with 'a'", "c starts_with 'b'"],
        ["c eq 'abc'", "c starts_with 'b'"],
        ["c eq 'abc'", "c contains 'z'"], ["a exists False", "a.b eq 1"], ["a eq 'x'", "a.b.c exists True"],
        ["a gt 3", "a.b eq 1"],
    ],
    ids=str,
)  # fmt: skip
def test_what_can_never_match(filters: list[str]) -> None:
    result = list(never_faults(meter([item(value) for value in filters]), "$.meters[0]"))
    assert len(result) == 1
    assert result[0].path.startswith("$.meters[0].profiles[0].filters[")
    assert "remove" in result[0].detail or "list the values" in result[0].detail


@pytest.mark.parametrize(
    "filters",
    [
        [], ["n gte 5", "n lte 5"], ["n gt 3", "n lt 5"], ["c in ['a', 'b']", "c ne 'a'"], ["c eq 'a'", "d eq 'b'"],
        ["c exists False"],
        ["c ne 'a'", "c exists False"], ["c not_in []"], ["c starts_with 'a'", "c starts_with 'ab'"],
        ["n eq 1", "n eq 1.0"], ["n eq '5'", "n gt 3"],
        ["a eq {'b': 1}", "a.b eq 1"], ["a exists True", "a.b eq 1"], ["a.b exists False", "a exists True"],
        ["a ne 'x'", "a.b eq 1"],
    ],
    ids=str,
)  # fmt: skip
def test_what_can_match(filters: list[str]) -> None:
    assert list(never_faults(meter([item(result) for result in filters]), "$")) == []


def test_a_meter_s_and_a_profile_s_filters_are_taken_together_and_both_are_named() -> None:
    (fault,) = never_faults(meter([item("kind eq 'free'")], [item("kind in ['paid', 'trial']")]), "$.meters[2]")
    assert fault.path == "$.meters[2].profiles[0].filters[0]"
    assert fault.detail == (
        "kind eq 'free' can never match together with kind in ['paid', 'trial'] ($.meters[2].filters[0]): "
        "no value of kind eq 'free' passes all the filters on it; remove one of them"
    )


def test_a_document_with_such_a_meter_is_refused_with_the_place() -> None:
    document = {"meters": [meter([item("n gt 5"), item("n lt 3")]).model_dump(mode="json")]}
    with pytest.raises(DocumentError) as caught:
        read_document(document, "shop")
    (fault,) = caught.value.faults
    assert fault.path == "$.meters[0].profiles[0].filters[1]"
    assert (
        fault.detail == "n lt 3 can never match together with n gt 5 ($.meters[0].profiles[0].filters[0]): no number "
        "is in both; remove one of them"
    )


VALUES = st.sampled_from([1, 2, 3, "1", "2", "ab", "abc", "b", True, None, {"b": 1}, {"b": "ab"}, [1, "ab"]])
PATHS = st.sampled_from([["a"], ["a"], ["a", "b"], ["c"]])


@st.composite
def one_filter(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(
        st.sampled_from(["in", "not_in", "eq", "ne", "gt", "gte", "lt", "lte", "exists", "contains", "starts_with"])
    )
    value: Any = draw(VALUES)
    if operator in ("in", "not_in"):
        value = draw(st.lists(VALUES, max_size=3))
    elif operator in ("gt", "gte", "lt", "lte"):
        value = draw(st.sampled_from([1, 2, "2", 3]))
    elif operator == "exists":
        value = draw(st.booleans())
    elif operator == "starts_with":
        value = draw(st.sampled_from(["a", "ab", "b", "1", ""]))
    return {"property": draw(PATHS), "operator": operator, "value": value}


@given(st.lists(one_filter(), max_size=4), st.dictionaries(st.sampled_from(["a", "c"]), VALUES))
def test_filters_that_some_event_passes_are_never_called_impossible(
    filters: list[dict[str, Any]], event: dict[str, Any]
) -> None:
    if all(compile_filter(tuple(result["property"]), result["operator"], result["value"])(event) for result in filters):
        assert list(never_faults(meter(filters), "$")) == []
