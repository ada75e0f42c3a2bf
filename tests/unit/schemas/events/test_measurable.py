"""Warnings at the door: what the matcher finds unmeterable is told, and nothing else; ordinary events are not looked at
closely."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.meters import EventType, Meter
from schemas.catalog.models import Namespace
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.events.acceptance import AcceptedEvent
from schemas.events.measurable import MAX_JUDGED, Measurable, Warned, measurable
from schemas.matching.rules import Matcher

METER = {
    "code": "call",
    "profiles": [
        {
            "code": "s",
            "aggregation": "sum",
            "property": ["s"],
            "filters": [{"property": ["kind"], "operator": "ne", "value": "free"}],
        },
        {"code": "deep", "aggregation": "max", "property": ["to", "size"]},
        {"code": "users", "aggregation": "count_unique", "property": ["user"]},
        {"code": "n", "aggregation": "count"},
    ],
}


def view(*types: dict[str, Any], meter: dict[str, Any] = METER) -> NamespaceView:
    catalog = Catalog()
    models: list[tuple[str, Any]] = [("namespace", Namespace(code="ns")), ("meter", Meter.model_validate(meter))]
    models += [("event_type", EventType.model_validate(item)) for item in types]
    for offset, (kind, model) in enumerate(models):
        assert catalog.apply(
            record_of("ns", model, kind=kind, version=1, author="", claim_id=str(offset)), offset, offset
        )
    return catalog.view("ns")


VIEW = view()
ONLY = view(meter={"code": "call", "profiles": METER["profiles"][:1]})
VIEWS = [(item, Matcher(profile_versions(item))) for item in (VIEW, ONLY)]


def event(properties: str, name: str = "call") -> AcceptedEvent:
    return AcceptedEvent(bytes(16), bytes(8), name, "a", "k", "", 5, properties)


VALUES = st.one_of(
    st.sampled_from(
        [
            0,
            7,
            -3,
            10**24,
            10**25,
            10**26,
            10**40,
            True,
            None,
            "",
            "7",
            "-7.25",
            "1e3",
            " 7",
            "7 ",
            "a lot",
            "NaN",
            "9" * 27,
            [],
            [1],
            {},
            {"size": 3},
            {"size": "x"},
            {"size": None},
            {"size": 1e30},
        ]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)


@given(st.sampled_from(VIEWS), st.dictionaries(st.sampled_from(["s", "to", "user", "kind", "other"]), VALUES))
def test_warned_of_is_just_what_the_worker_will_find(
    catalog: tuple[NamespaceView, Matcher], properties: dict[str, Any]
) -> None:
    observed, matcher = catalog
    text = json.dumps(properties)
    pairs = [
        (warning.profile_id, warning.reason)
        for warning in measurable(observed).warnings([event("{}", "other"), event(text)])
    ]
    assert pairs == list(matcher.match("call", 5, "k", text).unmeterable)


@pytest.mark.parametrize(
    "text", ['{"s":1e400,"to":{"size":1},"user":1}', '{"s":1' + "0" * 5000 + ',"to":{"size":1},"user":1}']
)
def test_numbers_that_no_float_holds(text: str) -> None:
    assert [(warning.profile_id, warning.reason) for warning in measurable(VIEW).warnings([event(text)])] == [
        ("call.s", "out_of_range")
    ]


def test_a_warning_says_where_and_why() -> None:
    (warnings,) = measurable(VIEW).warnings([event('{"s": 1, "to": {"size": "big"}, "user": 1}')])
    assert warnings.to_json(single=False) == {
        "index": 0, "path": "$.events[0].properties.to.size", "profile": "call.deep", "reason": "not_a_number",
        "detail": "to.size is no number, so the event counts for nothing with call.deep",
    }  # fmt: skip
    assert warnings.to_json(single=True)["path"] == "$.properties.to.size"


def test_ordinary_events_are_not_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("looked at closely")

    monkeypatch.setattr("schemas.events.measurable.match_rules", never)
    fine: list[Any] = [1, -2.5, "3", "-4.75", 114.97809459641576, str(Decimal("114.978094596415761234567")), 10**20]
    events = [event(json.dumps({"s": value, "to": {"size": value}, "user": "u"})) for value in fine]
    assert Measurable(VIEW).warnings(events) == []


def test_a_property_that_its_schema_lets_be_left_out_is_not_warned_of() -> None:
    fields = [
        {"name": "s", "type": "long", "default": 0},
        {"name": "user", "type": ["null", "string"], "default": None},
    ]
    typed = view({"code": "call", "schema": {"type": "record", "name": "Call", "fields": fields}})
    warnings = measurable(typed).warnings([event('{"to": {"size": 1}}'), event('{"s": "x", "to": {"size": 1}}')])
    assert [(item.index, item.profile_id, item.reason) for item in warnings] == [(1, "call.s", "not_a_number")]


def test_what_a_request_costs_is_bounded() -> None:
    warnings = measurable(VIEW).warnings([event('{"s": "x", "to": {"size": 1}, "user": 1}')] * 100)
    assert warnings == [Warned(index, "call.s", "not_a_number", ".s") for index in range(MAX_JUDGED)]


def test_names_that_json_must_escape() -> None:
    odd = view(meter={"code": "call", "profiles": [{"code": "q", "aggregation": "sum", "property": ['a"b']}]})
    assert measurable(odd).warnings([event(json.dumps({'a"b': 3}))]) == []
    (warnings,) = measurable(odd).warnings([event(json.dumps({'a"b': "x"}))])
    assert warnings.path == '["a\\"b"]'
