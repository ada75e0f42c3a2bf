"""What an event leaves out has its schema's default for filters, values and dimensions, by every matching, from the
type's own version on."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.verify.independent.event_totals import Raw, dimension_values, measure_of, parse
from schemas.catalog.meters import EventType, Filter, Meter
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion, profile_versions
from schemas.catalog.state import Catalog, record_of
from schemas.event_schema import parse_schema
from schemas.event_schema.filled import Defaults
from schemas.events.event_types import DefaultsByOffset, event_types
from schemas.events.measurable import measurable
from schemas.filters import MISSING
from schemas.matching.columns import ColumnMatcher
from schemas.matching.rule_columns import Events, Matches
from schemas.matching.rules import Matcher
from schemas.values.quantity import unscaled
from stream_processors.metering.meter_records import Matchers
from tests.unit.schemas.events.test_measurable import event
from tests.unit.schemas.matching.test_columns import given_to

PLACE = {
    "type": "record", "name": "Place", "fields": [
        {"name": "country", "type": "string", "default": "DE"},
        {"name": "city", "type": ["null", "string"], "default": None},
        {"name": "size", "type": "double", "default": 0.1},
        {"name": "next", "type": ["null", "Place"], "default": None},
    ],
}  # fmt: skip
SCHEMA: dict[str, Any] = {
    "type": "record", "name": "Call", "fields": [
        {"name": "n", "type": "long", "default": 1},
        {"name": "plan", "type": ["null", "string"], "default": None},
        {"name": "kind", "type": "string", "default": "voice"},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["new"]},
        {"name": "to", "type": PLACE, "default": {"size": 2}},
        {"name": "via", "type": ["null", "Place"], "default": None},
        {"name": "hops", "type": {"type": "map", "values": "Place"}, "default": {}},
        {"name": "must", "type": "string"},
    ],
}  # fmt: skip
DEFAULTS = Defaults(parse_schema(SCHEMA))


@pytest.mark.parametrize(
    ("path", "properties", "value"),
    [
        ("n", {}, 1), ("n", {"n": 5}, 5), ("kind", {"kind": ""}, ""), ("plan", {}, MISSING),
        ("plan", {"plan": None}, None),
        ("to", {}, {"size": 2}), ("to.size", {}, 2), ("to.country", {}, "DE"), ("to.size", {"to": {}}, Decimal("0.1")),
        ("to", {"to": {"city": "Ulm"}}, {"city": "Ulm"}), ("to.city", {"to": {}}, MISSING),
        ("to.next.country", {"to": {"next": {}}}, "DE"),
        ("to.next.country", {"to": {"next": None}}, MISSING), ("to.next.country", {}, MISSING),
        ("via.country", {}, MISSING),
        ("via.country", {"via": {}}, "DE"), ("via.country", {"via": None}, MISSING),
        ("hops.a.country", {"hops": {"a": {}}}, "DE"),
        ("hops.a.country", {}, MISSING), ("must", {}, MISSING), ("unknown", {}, MISSING),
        ("to.unknown.country", {"to": {"unknown": {}}}, MISSING),
        ("tags", {}, ["new"]),
    ],
)  # fmt: skip
def test_a_path_leads_to_what_was_sent_or_its_default(path: str, properties: dict[str, Any], value: Any) -> None:
    result = DEFAULTS.getter(tuple(path.split(".")))(properties)
    assert result is value if value is MISSING else result == value


PATHS = st.sampled_from(
    [
        ("n",),
        ("plan",),
        ("kind",),
        ("tags",),
        ("to",),
        ("to", "country"),
        ("to", "size"),
        ("to", "next", "size"),
        ("via", "size"),
        ("via",),
        ("hops", "a", "size"),
        ("hops", "a"),
        ("must",),
        ("unknown",),
    ]
)
PLACES = st.recursive(
    st.fixed_dictionaries(
        {}, optional={"country": st.sampled_from(["FR", "DE"]), "size": st.sampled_from([1, 2.5]), "city": st.none()}
    ),
    lambda inner: st.fixed_dictionaries({}, optional={"next": st.one_of(st.none(), inner), "size": st.just(3)}),
    max_leaves=3,
)
SENT = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(0, 3),
        "plan": st.sampled_from([None, "a"]),
        "kind": st.sampled_from(["voice", "fax"]),
        "tags": st.just([]),
        "to": PLACES,
        "via": st.one_of(st.none(), PLACES),
        "hops": st.dictionaries(st.just("a"), PLACES),
        "must": st.just("x"),
    },
)
FILTERS = st.tuples(
    PATHS,
    st.sampled_from(
        [
            ("eq", "voice"),
            ("ne", "DE"),
            ("gt", 1),
            ("lte", "2"),
            ("exists", True),
            ("exists", False),
            ("contains", "new"),
            ("in", ["DE", 1]),
            ("starts_with", "v"),
        ]
    ),
)


@given(
    st.lists(SENT, min_size=1, max_size=6), st.lists(FILTERS, max_size=2),
    st.sampled_from(["sum", "count_unique", "max", "latest", "count"]), PATHS,
    st.lists(PATHS, max_size=2, unique=True),
)  # fmt: skip
def test_rows_columns_and_the_independent_check_fill_in_alike(
    sent: list[dict[str, Any]], conditions: list[Any], aggregation: Any, path: Any, dimensions: list[Any]
) -> None:
    version = ProfileVersion(
        "m.p", 1, "m", "p", "", "", "e", aggregation, None if aggregation == "count" else path,
        tuple(Filter(property=where, operator=operator, value=value) for where, (operator, value) in conditions),
        tuple(dimensions), 60, BEGINNING, FOREVER,
    )  # fmt: skip
    texts = [json.dumps(properties) for properties in sent]
    columns = Matches()
    ColumnMatcher([version], lambda name: DEFAULTS).match(
        "e",
        Events(
            np.arange(len(texts)),
            np.zeros(len(texts), np.int64),
            [text.encode() for text in texts],
            lambda: ["k"] * len(texts),
        ),
        columns,
    )
    row = Matcher.of([version], DEFAULTS)
    for number, text in enumerate(texts):
        matched = row.match("e", 0, "k", text)
        assert given_to(columns, number) == matched
        own_measure_of_result = measure_of(
            version, Raw(0, (1, 0), 0, "e", "k", parse(text), schema=parse_schema(SCHEMA))
        )
        assert (own_measure_of_result is None) == (not matched.matches)
        if own_measure_of_result is not None:
            (match,) = matched.matches
            assert own_measure_of_result.value == unscaled(match.units)
            stored = json.loads(match.dimensions or "{}", parse_float=Decimal)
            for name, value in zip(
                own_measure_of_result.dimensions,
                dimension_values(own_measure_of_result, own_measure_of_result.dimensions),
                strict=True,
            ):
                assert (value == "") == (name not in stored)


METER = {
    "code": "call",
    "profiles": [
        {
            "code": "n",
            "aggregation": "sum",
            "property": "n",
            "filters": [{"property": "kind", "operator": "eq", "value": "voice"}],
            "dimensions": [["to", "country"]],
        },
    ],
}


def catalog(*types: EventType | None) -> Catalog:
    """The meter at offset 0, then versions of the event type; None: retired."""
    item = Catalog()
    assert item.apply(
        record_of("ns", Meter.model_validate(METER), kind="meter", version=1, author="", claim_id="m"), 0, 0
    )
    last_value: Any = None
    for offset, model in enumerate(types, 1):
        last_value = model or last_value
        record = record_of(
            "ns", last_value, kind="event_type", version=offset, author="", claim_id=str(offset), retired=model is None
        )
        if model is not None and not model.fill_defaults:  # as a Weir wrote it that did not fill in
            record["body"] = json.dumps(
                {name: value for name, value in json.loads(record["body"]).items() if name != "fill_defaults"}
            )
        assert item.apply(record, offset, offset)
    return item  # fmt: skip


def typed(**extra: Any) -> EventType:
    return EventType.model_validate({"code": "call", "schema": SCHEMA, **extra})


def test_a_batch_is_read_with_the_event_type_that_its_catalog_knew() -> None:
    result = catalog(typed(fill_defaults=False), typed(), None)
    view = result.view("ns")
    earliest = view.history("event_type", "call")[0].model
    assert isinstance(earliest, EventType)
    assert earliest.fill_defaults is False
    defaults = DefaultsByOffset(view, "call")
    matchers = Matchers(result)
    counted = []
    for offset in range(5):
        matcher = matchers.at("ns", offset)
        matches = Matches()
        matcher.match("call", Events(np.arange(1), np.zeros(1, np.int64), [b"{}"], list), matches)
        counted.append([*given_to(matches, 0).matches])
        stored = Matcher.of(_versions(result, offset), defaults.at(offset)).match("call", 0, "", "{}")
        assert stored.matches == tuple(counted[-1])
    filled = ("call.n", 1, 10**12, "", '{"to.country":"DE"}')
    # Nothing known; the meter alone; a type of before; one that fills in (the batch's catalog ends before its offset);
    # retired.
    assert counted == [[], [], [], [filled], []]
    assert defaults.any
    assert not DefaultsByOffset(catalog(typed(fill_defaults=False)).view("ns"), "call").any


def _versions(expected: Catalog, offset: int) -> tuple[ProfileVersion, ...]:
    return profile_versions(expected.view("ns", offset))


def test_what_is_filled_in_is_nothing_to_warn_of_and_a_new_schema_brings_a_new_matcher() -> None:
    result = catalog(
        typed(),
        typed(
            schema={
                **SCHEMA,
                "fields": [{**field, **({"default": 7} if field["name"] == "n" else {})} for field in SCHEMA["fields"]],
            }
        ),
    )
    assert measurable(result.view("ns")).warnings([event("{}")]) == []
    matchers = Matchers(result)
    assert matchers.at("ns", 2) is not matchers.at("ns", 3)
    assert [event_types(result.view("ns", offset)).defaults("call").getter(("n",))({}) for offset in (2, 3)] == [1, 7]
