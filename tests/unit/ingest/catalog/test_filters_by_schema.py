"""Filters against the schema of their event type."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.catalog.changes import Change
from ingest.catalog.checks.filters_by_schema import unfit_faults
from ingest.catalog.planned import Planned
from schemas.catalog.meters import EventType, Meter
from schemas.catalog.state import Catalog

PLACE = {
    "name": "Place",
    "type": "record",
    "additional": False,
    "fields": [{"name": "country", "type": {"type": "enum", "name": "C", "symbols": ["US", "CA"]}}],
}
SCHEMA = {
    "type": "record",
    "name": "Call",
    "fields": [
        {"name": "seconds", "type": ["null", "double"]},
        {"name": "to", "type": ["null", PLACE]},
        {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}},
    ],
}


def faults(
    filters: list[dict[str, Any]], *, within: tuple[str, ...] = ("meter",), schema: Any = SCHEMA
) -> dict[str, str]:
    profile = {"code": "n", "aggregation": "count", "filters": filters}
    meter = Meter.model_validate({"code": "m", "event_name": "call", "profiles": [profile]})
    declared = EventType.model_validate({"code": "call", "schema": schema})
    changes = [Change("created", "event_type", "call", 1, declared), Change("created", "meter", "m", 1, meter)]
    paths = {("meter", "m"): "$.meters[3]", ("event_type", "call"): "$.event_types[1]"}
    planned = Planned(
        Catalog().view("shop"), changes, {entry: path for entry, path in paths.items() if entry[0] in within}
    )
    return {fault.path: fault.detail for fault in unfit_faults(planned, ["m"])}


def one(path: str, operator: str, value: Any) -> list[dict[str, Any]]:
    return [{"property": path.split("."), "operator": operator, "value": value}]


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (one("to.country", "eq", "NO"), "to.country is one of US, CA"),
        (one("to.country", "in", ["NO", "SE"]), "one of US, CA"),
        (one("seconds", "eq", "long"), "seconds is null or a number"), (one("seconds", "eq", "1.5"), "a number"),
        (one("to.city", "exists", True), "no property to.city"),
        (one("to.country.code", "eq", "US"), "no property to.country.code"), (one("tags.x", "eq", 5), "tags.x is text"),
        (one("seconds.s", "gt", 5), "no property"),
    ],
)  # fmt: skip
def test_what_the_schema_rules_out(filters: list[dict[str, Any]], says: str) -> None:
    result = faults(filters)
    assert list(result) == ["$.meters[3].profiles[0].filters[0]"]
    assert says in result["$.meters[3].profiles[0].filters[0]"]


@pytest.mark.parametrize(
    "filters",
    [
        one("to.country", "eq", "US"), one("to.country", "in", ["NO", "US"]), one("to.country", "ne", "NO"),
        one("seconds", "gt", 5), one("seconds", "eq", 1.5),
        one("seconds", "eq", None), one("unnamed", "eq", "x"), one("to.city", "exists", False),
        one("tags.any", "eq", "x"), one("to", "exists", True),
    ],
    ids=str,
)  # fmt: skip
def test_what_may_pass(filters: list[dict[str, Any]]) -> None:
    assert faults(filters) == {}


def test_only_what_the_document_speaks_of_is_looked_at() -> None:
    bad = one("to.country", "eq", "NO")
    assert faults(bad, within=()) == {}
    assert list(faults(bad, within=("event_type",))) == ["$"]
    assert "meter m at profiles[0].filters[0]" in faults(bad, within=("event_type",))["$"]
    assert faults(bad, schema=None) == {}
