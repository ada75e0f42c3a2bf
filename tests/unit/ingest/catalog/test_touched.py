"""What a plan can make invalid is all that is checked: for any history of changes the faults and warnings are those of
a check of the whole catalog, and the counts kept by the fold are those of counting anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.catalog.changes import CatalogPlan
from ingest.catalog.checks.touched import Touched, touched_by
from ingest.catalog.document import DocumentError, no_tick
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import LISTS, Document, DocumentEntry, read_document
from ingest.catalog.planned import Planned
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, NamespaceView
from tests.unit.ingest.catalog.builders import publish

SCHEMA = {
    "type": "record",
    "name": "E",
    "fields": [
        {"name": "x", "type": {"type": "enum", "name": "X", "symbols": ["1", "2"]}, "default": "1"},
        {"name": "bytes", "type": "string", "default": "many"},
    ],
}


def whole(planned: Planned) -> Touched:
    """What a check of everything looks at."""
    codes = {kind: planned.codes(kind) for kind in KINDS}
    subscriptions: list[Any] = [planned.get("subscription", code) for code in codes["subscription"]]
    return Touched(codes, dict.fromkeys(each.account for each in subscriptions), codes["plan"])


def outcome(
    view: NamespaceView, document: Document, retire: Sequence[tuple[str, str]], scope: Any
) -> tuple[CatalogPlan | None, Any]:
    """The plan, and its warnings or faults without regard to their order."""
    try:
        plan = plan_document(view, document, retire, no_tick, scope)
    except DocumentError as error:
        return None, Counter(error.faults)
    return plan, Counter(plan.warnings)


def filters(draw: st.DrawFn) -> list[dict[str, Any]]:
    return draw(st.sampled_from([[], [{"property": ["x"], "operator": "eq", "value": "1"}],
                                 [{"property": ["x"], "operator": "eq", "value": "9"}]]))  # fmt: skip


def grants(codes: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Features that may not be there, with limits that their profile or the plan may not allow."""
    limits = [None, [{"amount": "1", "reset": "billing_period"}], [{"quantity": "1", "rolling": "1 day"}]]
    grant = st.fixed_dictionaries({"feature": codes, "limits": st.sampled_from(limits)})
    return st.just([]) | st.lists(grant, max_size=1)


@st.composite
def items(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """An entry whose references may lead to entries that exist, do not exist, or are retired."""
    code = draw(st.sampled_from(["a", "b", "c"]))
    few = st.sampled_from(["a", "b", "c"])
    if kind == "event_type":
        schema = draw(st.sampled_from([None, SCHEMA]))
        return {"code": code, "compatibility": "none", "fill_defaults": True, "schema": schema}
    if kind == "meter":
        profiles = [
            {
                "code": profile,
                "aggregation": draw(st.sampled_from(["sum", "latest"])),
                "property": "bytes",
                "filters": filters(draw),
            }
            for profile in draw(st.sampled_from([["p"], ["q"], ["p", "q"]]))
        ]
        return {"code": code, "event_name": draw(few), "profiles": profiles}
    profile = st.builds("".join, st.tuples(few, st.sampled_from(["", ".p", ".q"])))
    if kind == "feature":
        limits = draw(st.sampled_from([[], [{"quantity": "1", "rolling": "5 hours"}]]))
        named = draw(st.none() | profile)
        return {"code": code, "profile": named, "limits": [] if named is None else limits}
    if kind == "product":
        return {"code": code} | draw(st.one_of(st.just({"kind": "flat"}), st.fixed_dictionaries({"profile": profile})))
    if kind == "plan":
        products = draw(st.lists(few, unique=True, max_size=2))
        price = {"model": "flat", "amount": draw(st.sampled_from(["1", "2"]))}
        charges = [{"product": product, "price": price, "in_advance": draw(st.booleans())} for product in products]
        discounts = draw(st.sampled_from([[], [{"code": "d", "percent": "5", "product": "a"}]]))
        features = draw(grants(few))
        return {"code": code, "currency": "USD", "charges": charges, "discounts": discounts, "features": features}
    if kind == "account":
        return {"code": code, "name": draw(few)}
    if kind == "subscription":
        start, end = draw(st.sampled_from([("2026-01-01", None), ("2026-01-01", "2026-02-01"), ("2026-02-01", None)]))
        version = draw(st.none() | st.integers(1, 2))
        return {
            "code": draw(st.sampled_from(["a", "b", "c", "d"])), "account": draw(few), "plan": draw(few),
            "start": start, "end": end, "plan_version": version, "features": draw(grants(few)),
        }  # fmt: skip
    if kind == "alert_rule":
        subject = draw(st.sampled_from(["account", "subscription", "plan"]))
        return {"code": code, "measure": "usage", "profile": draw(profile), subject: draw(few), "thresholds": ["5"]}
    owner = draw(st.sampled_from(["account", "subscription"]))
    products = draw(st.lists(few, max_size=1))
    return {"code": code, owner: draw(few), "amount": "5", "currency": "USD", "products": products}


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A document of some entries, or an entry to retire."""
    if draw(st.integers(0, 4)) == 0:
        return {}, [(draw(st.sampled_from(list(LISTS.values()))), draw(st.sampled_from(["a", "b", "c"])))]
    raw: dict[str, Any] = {"prune": draw(st.integers(0, 9)) == 0}
    for name in draw(st.lists(st.sampled_from(list(LISTS)), unique=True, min_size=1, max_size=4)):
        raw[name] = draw(st.lists(items(LISTS[name]), max_size=3, unique_by=lambda item: item["code"]))
    return raw, []


FIRST: dict[str, Any] = {
    "event_types": [{"code": "a", "compatibility": "none", "schema": SCHEMA, "fill_defaults": True}],
    "meters": [
        {"code": "a", "profiles": [{"code": "p", "aggregation": "count"}]},
        {"code": "b", "profiles": [{"code": "p", "aggregation": "count"}, {"code": "q", "aggregation": "count"}]},
    ],
    "features": [{"code": "a", "profile": "a"}],
    "products": [{"code": "a", "profile": "a"}, {"code": "b", "profile": "b.p"}, {"code": "c", "kind": "flat"}],
    "plans": [
        {
            "code": code, "currency": "USD",
            "charges": [{"product": product, "price": {"model": "flat", "amount": "1"}} for product in products],
        }
        for code, products in (("a", "ac"), ("b", "b"), ("c", "bc"))
    ],
    "accounts": [{"code": code} for code in "abc"],
    "subscriptions": [
        {"code": "a", "account": "a", "plan": "a", "start": "2026-01-01"},
        {"code": "b", "account": "a", "plan": "b", "start": "2026-01-01"},
        {"code": "c", "account": "b", "plan": "c", "start": "2026-01-01"},
    ],
    "credit_grants": [{"code": "a", "account": "a", "amount": "5", "currency": "USD"}],
    "alert_rules": [{"code": "a", "measure": "usage", "profile": "b.p", "plan": "b", "thresholds": ["5"]}],
}  # fmt: skip


@given(st.lists(changes(), min_size=1, max_size=8))
@settings(max_examples=50)
def test_what_is_touched_is_all_that_can_be_wrong(history: list[tuple[dict[str, Any], list[tuple[str, str]]]]) -> None:
    catalog = Catalog()
    for raw, retire in [(FIRST, []), *history]:
        try:
            document = read_document(raw, "shop")
        except DocumentError:
            continue
        view = catalog.view("shop")
        plan, said = outcome(view, document, retire, touched_by)
        reference, expected = outcome(view, document, retire, whole)
        assert said == expected
        assert (plan is None) == (reference is None)
        if plan is not None:
            publish(catalog, plan)
            counted(catalog)


def counted(catalog: Catalog) -> None:
    view, indexes = catalog.view("shop"), catalog.indexes("shop")
    entries = [entry for kind in KINDS for entry in view.all(kind)]
    assert +indexes.in_force == Counter(entry.kind for entry in entries)
    assert indexes.size == sum(entry.size for entry in entries)
    names = [entry.model.event_name or entry.code for entry in view.all("meter") for _ in entry.model.profiles]
    assert +indexes.profiles == Counter(names)
    for kind in KINDS:
        assert [entry.code for entry in view.after(kind, "a")] == sorted(
            entry.code for entry in view.all(kind) if entry.code > "a"
        )


def price(product: str, **terms: Any) -> dict[str, Any]:
    return {"product": product, "price": {"model": "flat", "amount": "1"}, **terms}


def plan_of(code: str, *charges: dict[str, Any]) -> dict[str, Any]:
    return {"code": code, "currency": "USD", "charges": charges}


def counting(code: str, *profiles: str, event_name: str | None = None, value: str | None = None) -> dict[str, Any]:
    rules = [] if value is None else [{"property": ["x"], "operator": "eq", "value": value}]
    listed = [{"code": profile, "aggregation": "count", "filters": rules} for profile in profiles]
    return {"code": code, "event_name": event_name, "profiles": listed}


@pytest.mark.parametrize(
    ("before", "change", "retire", "expected"),
    [
        ({}, {"meters": [counting("b", "q")]}, [],
         ["alert_rule a (not", "product b (not in this document) at profile: no profile b.p"]),
        ({}, {"meters": [counting("a", "p", "q")]}, [], ["feature a (not", "product a (not"]),
        ({}, {}, [("meter", "a")], ["feature a (not", "product a (not"]),
        (
            {"plans": [plan_of("d", price("c", in_advance=True))]},
            {"products": [{"code": "c", "profile": "b.q"}]}, [],
            ["plan d (not in this document) at charges[0].in_advance"],
        ),
        ({}, {}, [("product", "b")], ["plan b (not", "plan c (not", "subscription b (not", "subscription c (not"]),
        (
            {"plans": [plan_of("a", price("a")), plan_of("c")]}, {}, [("product", "c")],
            [
                "subscription a (not in this document) at plan_version: version 1 of plan a charges product c",
                "subscription c (not in this document) at plan_version: version 1 of plan c charges product c",
            ],
        ),
        ({}, {}, [("plan", "b")], ["alert_rule a (not", "subscription b (not in this document) at plan: "]),
        ({}, {}, [("account", "b")], ["subscription c (not"]),
        ({}, {}, [("account", "a")], ["credit_grant a (not", "subscription a (not", "subscription b (not"]),
        (
            {"credit_grants": [{"code": "b", "subscription": "c", "amount": "5", "currency": "USD"}]},
            {}, [("subscription", "c")], ["credit_grant b (not"],
        ),
        (
            {}, {"products": [{"code": "b", "profile": "a"}]}, [],
            ["bills a.p of account a, as subscription"],
        ),
        (
            {"meters": [counting("d", "p", event_name="b", value="9")]},
            {"event_types": [{"code": "b", "schema": SCHEMA}]}, [], ["meter d at profiles[0].filters[0]: no event"],
        ),
    ],
)  # fmt: skip
def test_what_refers_to_a_changed_entry_is_checked(
    before: dict[str, Any], change: dict[str, Any], retire: list[tuple[str, str]], expected: list[str]
) -> None:
    """Whether it is the document's or not."""
    catalog = Catalog()
    for raw in (FIRST, before):
        publish(catalog, plan_document(catalog.view("shop"), read_document(raw, "shop")))
    with pytest.raises(DocumentError) as refused:
        plan_document(catalog.view("shop"), read_document(change, "shop"), retire)
    details = sorted(fault.detail for fault in refused.value.faults)
    assert len(details) == len(expected)
    assert all(detail.startswith(start) for detail, start in zip(details, expected, strict=True)), details


@pytest.mark.parametrize(
    "change",
    [
        {"products": [{"code": "b", "profile": "b.p", "name": "renamed"}]},
        {"meters": [counting("b", "p", "q", event_name="a")]},
    ],
)
def test_a_plan_is_warned_of_for_what_it_charges(change: dict[str, Any]) -> None:
    catalog = Catalog()
    two = {
        "meters": [counting("b", "p", "q", event_name="a"), counting("d", "p", event_name="a")],
        "products": [{"code": "d", "profile": "d"}],
        "plans": [plan_of("d", price("b"), price("d"))],
    }
    for raw in (FIRST, two):
        publish(catalog, plan_document(catalog.view("shop"), read_document(raw, "shop")))
    plan = plan_document(catalog.view("shop"), read_document(change, "shop"))
    assert [warning.detail.partition(":")[0] for warning in plan.warnings] == ["plan d"]


def alone(kind: str, body: dict[str, Any]) -> Document:
    """What POST and PUT of one entry plan."""
    return Document("shop", None, False, frozenset(), (DocumentEntry(kind, "$", KINDS[kind].model_validate(body)),))


def test_an_entry_by_itself_is_checked_as_in_a_document_and_faults_are_placed_in_its_body() -> None:
    """Filters that its event type's schema rules out were let through; others were said to be in no document."""
    catalog = Catalog()
    publish(catalog, plan_document(catalog.view("shop"), read_document(FIRST, "shop")))
    unfit = counting("d", "p", event_name="a", value="9")
    standing = FIRST["subscriptions"][0]
    entries: list[tuple[str, dict[str, Any], str, str]] = [
        ("meter", unfit, "$.profiles[0].filters[0]", "no event passes: x is one of"),
        ("subscription", standing | {"plan": "x"}, "$.plan", "no plan x; declare it"),
        ("subscription", standing | {"code": "d"}, "$", "bills a.p of account a, as subscription a does"),
    ]
    for kind, body, path, detail in entries:
        with pytest.raises(DocumentError) as refused:
            plan_document(catalog.view("shop"), alone(kind, body))
        (fault,) = refused.value.faults
        assert fault.path == path
        assert fault.detail.startswith(detail)


def test_a_change_looks_at_what_it_touches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry but those in question is read, whatever the size of the catalog."""
    catalog = Catalog()
    accounts = [{"code": f"n{number}"} for number in range(300)]
    subscriptions = [
        {"code": account["code"], "account": account["code"], "plan": "a", "start": "2026-01-01"}
        for account in accounts
    ]
    large = FIRST | {
        "accounts": [*FIRST["accounts"], *accounts],
        "subscriptions": [*FIRST["subscriptions"], *subscriptions],
    }
    publish(catalog, plan_document(catalog.view("shop"), read_document(large, "shop")))
    read: list[tuple[str, str]] = []
    get = NamespaceView.get

    def noted(view: NamespaceView, kind: str, code: str) -> Any:
        read.append((kind, code))
        return get(view, kind, code)

    monkeypatch.setattr(NamespaceView, "get", noted)
    monkeypatch.setattr(NamespaceView, "histories", None)
    document = read_document({"subscriptions": [subscriptions[7] | {"end": "2026-03-01"}]}, "shop")
    assert len(plan_document(catalog.view("shop"), document).to_publish()) == 1
    assert {code for _, code in read} <= {"shop", "n7", "a", "c"}
