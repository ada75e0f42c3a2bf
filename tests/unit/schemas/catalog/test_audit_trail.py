"""The audit trail tells every change, by whom, when, and field by field."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.audit_trail import audit
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, record_of


def published(*steps: tuple[str, dict[str, Any], str, bool]) -> Catalog:
    """Each step: kind, body, author, retired."""
    catalog = Catalog()
    versions: dict[tuple[str, str], int] = {}
    for offset, (kind, body, author, retired) in enumerate(steps):
        key = (kind, body["code"])
        versions[key] = versions.get(key, 0) + 1
        record = record_of(
            "ns",
            KINDS[kind].model_validate(body),
            kind=kind,
            version=versions[key],
            author=author,
            claim_id="",
            retired=retired,
        )
        assert catalog.apply(record, offset, 1_000_000 * offset) is not None
    return catalog


def meter(*profiles: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"code": "m", "profiles": list(profiles), **extra}


COUNT = {"code": "n", "aggregation": "count"}
SUM = {"code": "s", "aggregation": "sum", "property": ["bytes"]}


def test_who_did_what_and_when_the_newest_first() -> None:
    catalog = published(
        ("meter", meter(COUNT), "ann", False),
        ("meter", meter(SUM, COUNT, unit="MB"), "bob", False),
        ("account", {"code": "a"}, "ann", False),
        ("account", {"code": "a"}, "eve", True),
        ("account", {"code": "a"}, "ann", False),
    )
    to_jsons = [item.to_json() for item in audit(catalog.view("ns"))]
    assert [
        (item["author"], item["action"], item["kind"], item["code"], item["version"], item["at"]) for item in to_jsons
    ] == [
        ("ann", "created", "account", "a", 3, "1970-01-01T00:00:04Z"),
        ("eve", "retired", "account", "a", 2, "1970-01-01T00:00:03Z"),
        ("ann", "created", "account", "a", 1, "1970-01-01T00:00:02Z"),
        ("bob", "changed", "meter", "m", 2, "1970-01-01T00:00:01Z"),
        ("ann", "created", "meter", "m", 1, "1970-01-01T00:00:00Z"),
    ]
    changes = {change["path"]: change for change in to_jsons[3]["changes"]}
    assert changes["unit"] == {"path": "unit", "before": "", "after": "MB"}
    # A profile is known by its code, wherever it stands in the list.
    assert set(changes) == {"unit", "profiles[s]"}
    assert "before" not in changes["profiles[s]"]
    assert changes["profiles[s]"]["after"]["property"] == ["bytes"]
    assert {"path": "time_zone", "after": "UTC"} in to_jsons[2]["changes"]


def test_a_price_is_shown_before_and_after_under_its_charge() -> None:
    def plan(amount: str) -> dict[str, Any]:
        charges = [{"product": name, "price": {"model": "per_unit", "unit_amount": amount}} for name in ("x", "y")]
        return {"code": "p", "currency": "USD", "charges": charges[: 1 if amount == "2" else 2]}

    (change, _) = audit(published(("plan", plan("1"), "ann", False), ("plan", plan("2"), "ann", False)).view("ns"))
    by_key = {item["path"]: (item.get("before"), item.get("after")) for item in change.changes}
    assert by_key["charges[x].price.unit_amount"] == ("1", "2")
    assert by_key["charges[y]"][1] is None
    assert len(by_key) == 2


def test_what_is_asked_for_is_told_and_nothing_of_another_namespace_or_of_later() -> None:
    catalog = published(
        ("account", {"code": "a"}, "ann", False),
        ("account", {"code": "b"}, "bob", False),
        ("feature", {"code": "a"}, "bob", False),
    )
    view = catalog.view("ns")

    def offsets(**expected: Any) -> list[int]:
        return [item.entry.offset for item in audit(view, **expected)]

    assert offsets(kind="account") == [1, 0]
    assert offsets(code="a") == [2, 0]
    assert offsets(author="bob", kind="account") == [1]
    assert offsets(before_offset=2) == [1, 0]
    assert [item.entry.offset for item in audit(catalog.view("ns", 1))] == [0]
    assert list(audit(catalog.view("other"))) == []


def test_the_hash_of_a_key_is_not_told() -> None:
    catalog = published(("api_key", {"code": "k", "hash": "0" * 64, "scopes": ["read"]}, "admin", False))
    (created,) = audit(catalog.view("ns"))
    assert "0" * 64 not in str(created.to_json())


BODIES = st.fixed_dictionaries(
    {"code": st.just("a")}, optional={"name": st.text(max_size=2), "time_zone": st.sampled_from(["UTC", "Europe/Oslo"])}
)


@given(st.lists(st.tuples(BODIES, st.booleans()), max_size=6))
def test_playing_the_changes_gives_the_body_that_stands(steps: list[tuple[dict[str, Any], bool]]) -> None:
    catalog = published(*(("account", body, "ann", retired) for body, retired in steps))
    body: dict[str, Any] = {}
    for item in reversed(list(audit(catalog.view("ns")))):
        if item.action != "changed":
            body = {}
        for change in item.changes:
            assert body.get(change["path"]) == change.get("before")
            body[change["path"]] = change["after"]
        if item.action != "retired":
            assert {"code": "a", **body} == dict(item.entry.body)
