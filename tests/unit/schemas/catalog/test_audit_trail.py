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
    made = Catalog()
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
        assert made.apply(record, offset, 1_000_000 * offset) is not None
    return made


def meter(*profiles: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"code": "m", "profiles": list(profiles), **more}


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
    found = [one.to_json() for one in audit(catalog.view("ns"))]
    assert [(one["author"], one["action"], one["kind"], one["code"], one["version"], one["at"]) for one in found] == [
        ("ann", "created", "account", "a", 3, "1970-01-01T00:00:04Z"),
        ("eve", "retired", "account", "a", 2, "1970-01-01T00:00:03Z"),
        ("ann", "created", "account", "a", 1, "1970-01-01T00:00:02Z"),
        ("bob", "changed", "meter", "m", 2, "1970-01-01T00:00:01Z"),
        ("ann", "created", "meter", "m", 1, "1970-01-01T00:00:00Z"),
    ]
    changes = {change["path"]: change for change in found[3]["changes"]}
    assert changes["unit"] == {"path": "unit", "before": "", "after": "MB"}
    # A profile is known by its code, wherever it stands in the list.
    assert set(changes) == {"unit", "profiles[s]"}
    assert "before" not in changes["profiles[s]"]
    assert changes["profiles[s]"]["after"]["property"] == ["bytes"]
    assert {"path": "time_zone", "after": "UTC"} in found[2]["changes"]


def test_a_price_is_shown_before_and_after_under_its_charge() -> None:
    def plan(amount: str) -> dict[str, Any]:
        charges = [{"product": name, "price": {"model": "per_unit", "unit_amount": amount}} for name in ("x", "y")]
        return {"code": "p", "currency": "USD", "charges": charges[: 1 if amount == "2" else 2]}

    (change, _) = audit(published(("plan", plan("1"), "ann", False), ("plan", plan("2"), "ann", False)).view("ns"))
    told = {one["path"]: (one.get("before"), one.get("after")) for one in change.changes}
    assert told["charges[x].price.unit_amount"] == ("1", "2")
    assert told["charges[y]"][1] is None
    assert len(told) == 2


def test_what_is_asked_for_is_told_and_nothing_of_another_namespace_or_of_later() -> None:
    catalog = published(
        ("account", {"code": "a"}, "ann", False),
        ("account", {"code": "b"}, "bob", False),
        ("feature", {"code": "a"}, "bob", False),
    )
    view = catalog.view("ns")

    def offsets(**wanted: Any) -> list[int]:
        return [one.entry.offset for one in audit(view, **wanted)]

    assert offsets(kind="account") == [1, 0]
    assert offsets(code="a") == [2, 0]
    assert offsets(author="bob", kind="account") == [1]
    assert offsets(before_offset=2) == [1, 0]
    assert [one.entry.offset for one in audit(catalog.view("ns", 1))] == [0]
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
    for one in reversed(list(audit(catalog.view("ns")))):
        if one.action != "changed":
            body = {}
        for change in one.changes:
            assert body.get(change["path"]) == change.get("before")
            body[change["path"]] = change["after"]
        if one.action != "retired":
            assert {"code": "a", **body} == dict(one.entry.body)
