"""What is made of a catalog is made once for each change of what it is made of, name by name, for any number of
namespaces."""

from __future__ import annotations

from typing import Any

import pytest

import schemas.events.event_types as event_types_module
from schemas.catalog.meters import EventType, Meter
from schemas.catalog.models import Account
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog, record_of
from schemas.events.event_types import event_types
from schemas.values.caches.weighted_cache import WeightedCache
from stream_processors.metering.meter_records import Matchers

SCHEMA = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]}


def put(catalog: Catalog, namespace: str, kind: str, model: Any) -> None:
    version = len(catalog.view(namespace).history(kind, model.code)) + 1
    record = record_of(namespace, model, kind=kind, version=version, author="", claim_id="")
    assert catalog.apply(record, catalog.next_offset, catalog.next_offset)


def meter(code: str = "m") -> Meter:
    return Meter.model_validate({"code": code, "profiles": [{"code": "n", "aggregation": "count"}]})


def test_an_event_type_is_compiled_when_its_first_event_comes_and_not_again_for_other_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[Any] = []
    real = event_types_module.compile_schema
    monkeypatch.setattr(event_types_module, "compile_schema", lambda schema: compiled.append(schema) or real(schema))
    catalog = Catalog()
    for number in range(50):
        put(catalog, "n", "event_type", EventType.model_validate({"code": f"e{number}", "schema": SCHEMA}))
    assert event_types(catalog.view("n")).check("e7") is not None
    assert len(compiled) == 1
    put(catalog, "n", "account", Account(code="a"))
    put(catalog, "n", "event_type", EventType.model_validate({"code": "later", "schema": SCHEMA}))
    check = event_types(catalog.view("n")).check("e7")
    assert check is not None
    assert (check.version, len(compiled)) == (1, 1)
    put(catalog, "n", "event_type", EventType.model_validate({"code": "e7", "schema": SCHEMA, "description": "x"}))
    check = event_types(catalog.view("n")).check("e7")
    assert check is not None
    assert (check.version, len(compiled)) == (2, 2)
    assert not event_types(catalog.view("n")).knows("e50")
    assert event_types(catalog.view("n")).knows("e49")


def test_a_matcher_is_the_same_until_a_meter_changes_and_for_hundreds_of_namespaces() -> None:
    catalog = Catalog()
    names = [f"n{number}" for number in range(300)]
    for name in names:
        put(catalog, name, "meter", meter())
    matchers = Matchers(catalog)
    previous = {name: matchers.at(name, catalog.next_offset) for name in names}
    versions = {name: profile_versions(catalog.view(name)) for name in names}
    for name in names:
        put(catalog, name, "account", Account(code="a"))
    assert all(matchers.at(name, catalog.next_offset) is previous[name] for name in names)
    assert all(profile_versions(catalog.view(name)) is versions[name] for name in names)
    put(catalog, "n7", "meter", meter("other"))
    assert matchers.at("n7", catalog.next_offset) is not previous["n7"]
    assert matchers.at("n7", catalog.next_offset - 1) is previous["n7"], "an older batch is matched as it was then"
    assert matchers.at("n8", catalog.next_offset) is previous["n8"]


def test_a_cache_is_bounded_by_weight_and_keeps_what_is_used() -> None:
    collected: list[str] = []
    cache: WeightedCache[str] = WeightedCache(10)

    def get(key: str, weight: int) -> str:
        def make() -> tuple[str, int]:
            collected.append(key)
            return key, weight

        return cache.get(key, make)

    for key in ("a", "b", "a", "c", "a"):
        get(key, 4)
    assert collected == ["a", "b", "c"]
    get("b", 4)
    assert collected == ["a", "b", "c", "b"], "b was the least recently used when c came"
    get("huge", 100)
    assert len(cache) == 1
    get("huge", 100)
    assert collected[-1] == "huge"
    assert collected.count("huge") == 1
