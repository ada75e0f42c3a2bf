"""Two dimensions of one name are refused where a meter is published anew; what is stored loads and may be applied
again."""

from __future__ import annotations

import json

from schemas.catalog.profiles import dimension_names, profile_versions
from tests.unit.ingest.catalog.builders import applied, codes, faults, plan

NAMESPACE = "namespace: {code: shop, max_event_age_seconds: null}"


def meter(*dimensions: str, code: str = "tok") -> str:
    listed = ", ".join(dimensions)
    profile = f"{{code: in, aggregation: sum, property: n, dimensions: [{listed}]}}"
    return (
        f"{NAMESPACE}\nmeters: [{{code: {code}, event_name: call, profiles: [{{code: all, "
        f"aggregation: count}}, {profile}]}}]"
    )


def test_two_properties_of_one_name_are_refused_with_their_place() -> None:
    result = faults(applied(), meter('"a.b"', "[a, b]"))
    assert result == {
        "$.meters[0].profiles[1].dimensions[1]": (
            "['a', 'b'] and ['a.b'] are both called a.b, so their values could not be told apart; "
            "keep one of them, or have the"
            " producer write one under another name"
        )
    }
    assert "$.meters[0].profiles[1].dimensions[2]" in faults(applied(meter("a")), meter("a", '"a.b"', "[a, b]"))


def test_names_that_can_be_told_apart_are_taken_whatever_they_are() -> None:
    result = plan(applied(), meter("hour", "day", "account", '"x,y"', '"dimension:z"', "[a, b]", '["a.b", c]'))
    assert ("meter", "tok", 1) in codes(result, "created")


def test_a_stored_one_loads_and_is_left_alone_by_a_document_that_says_the_same() -> None:
    catalog = applied()
    body = {
        "code": "tok",
        "event_name": "call",
        "profiles": [
            {"code": "all", "aggregation": "count"},
            {"code": "in", "aggregation": "sum", "property": "n", "dimensions": ["a.b", ["a", "b"]]},
        ],
    }
    record = {
        "namespace": "shop", "kind": "meter", "code": "tok", "version": 1, "retired": False, "valid_from": None,
        "body": json.dumps(body), "author": "", "claim_id": "",
    }  # fmt: skip
    assert catalog.apply(record, catalog.next_offset, 0) is not None
    versions = [
        profile_version
        for profile_version in profile_versions(catalog.view("shop"))
        if profile_version.profile_id == "tok.in"
    ]
    assert dimension_names(versions) == ("a.b",)
    assert codes(plan(catalog, meter('"a.b"', "[a, b]")), "unchanged")[1:] == [("meter", "tok", 1)]
