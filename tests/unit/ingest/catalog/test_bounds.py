"""Bounds of a namespace: growth beyond one is refused with its name, its value and who can raise it; what stands always
may shrink."""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.catalog.catalog_publisher import batched
from ingest.catalog.checks.empty_filters import PlacedFilter
from ingest.catalog.document import DocumentError
from schemas.catalog.bounds import BOUNDS, Bounds, NamespaceBounds, bounds_of
from schemas.catalog.meters import Filter
from schemas.catalog.state import Catalog
from tests.unit.ingest.catalog.builders import BASE, applied, faults, plan, publish


def bounded(own_value: str) -> str:
    return f"namespace: {{code: shop, bounds: {{{own_value}}}}}\n"


def meters(count: int, name: str = "call") -> str:
    return "meters:\n" + "".join(
        f"  - {{code: m{number}, event_name: {name}, profiles: [{{code: n, aggregation: count}}]}}\n"
        for number in range(count)
    )


def listed(values: int) -> str:
    items = ", ".join(f"v{number}" for number in range(values))
    return (
        "meters: [{code: m, profiles: [{code: n, aggregation: count, filters: "
        f"[{{property: x, operator: in, value: [{items}]}}, {{property: x, operator: exists}}]}}]}}]\n"
    )


def dimensions(count: int) -> str:
    names = ", ".join(f"d{number}" for number in range(count))
    return f"meters: [{{code: m, profiles: [{{code: n, aggregation: count, dimensions: [{names}]}}]}}]\n"


def matrix(count: int) -> str:
    listed_cells = ", ".join(f"{{values: [v{number}], unit_amount: '1'}}" for number in range(count))
    return f"{{model: matrix, dimensions: [d0], cells: [{listed_cells}], default_unit_amount: '1'}}"


def cells(count: int) -> str:
    return dimensions(1) + (
        "products: [{code: p, profile: m}]\n"
        f"plans: [{{code: b, currency: USD, charges: [{{product: p, price: {matrix(count)}}}]}}]\n"
        "accounts: [{code: a}]\n"
    )


def override(count: int) -> str:
    overrides = f"[{{charge: p, price: {matrix(count)}}}]"
    return f"subscriptions: [{{code: s, account: a, plan: b, start: 2026-01-01, overrides: {overrides}}}]\n"


def subscriptions(count: int) -> str:
    return "subscriptions:\n" + "".join(
        f"  - {{code: s{number}, account: a, plan: b, start: 20{30 + number}-01-01, end: 20{31 + number}-01-01}}\n"
        for number in range(count)
    )


@pytest.mark.parametrize(
    ("own", "within", "beyond", "path", "named"),
    [
        ("profiles_per_event_name: 3", meters(3), meters(4), "$.meters[3]",
            "4 profiles that look at events named 'call'"),
        ("profiles: 3", meters(3), meters(4), "$.meters", "4 profiles of all meters"),
        ("filter_values: 5", listed(5), listed(6), "$.meters[0].profiles[0].filters[0].value",
            "6 values in one filter"),
        ("filters: 2", listed(1), listed(1).replace("{property: x, operator: exists}",
            "{property: x, operator: exists}, {property: y, operator: exists}"),
         "$.meters[0].profiles[0].filters", "3 filters"),
        ("event_types: 1", "event_types: [{code: a}]", "event_types: [{code: a}, {code: b}]", "$.event_types",
            "2 event types"),
        ("entries: 3", "accounts: [{code: a}, {code: b}]", "accounts: [{code: a}, {code: b}, {code: c}]", "$",
            "4 entries"),
        ("dimensions: 2", dimensions(2), dimensions(3), "$.meters[0].profiles[0].dimensions", "3 dimensions"),
        ("price_cells: 2", cells(2), cells(3), "$.plans[0].charges[0].price.cells", "3 priced combinations"),
        ("price_cells: 2", cells(2) + override(2), cells(2) + override(3),
            "$.subscriptions[0].overrides[0].price.cells", "3 priced combinations"),
        ("subscriptions_per_account: 2", cells(1) + subscriptions(2), cells(1) + subscriptions(3),
            "$.subscriptions[2]", "3 subscriptions of account a"),
        ("catalog_bytes: 2000", "accounts: [{code: a}]", "accounts: [{code: a, name: " + "x" * 3000 + "}]", "$",
            "bytes of entries"),
    ],
)  # fmt: skip
def test_growth_beyond_a_bound_is_refused_and_the_operator_can_raise_it(
    own: str, within: str, beyond: str, path: str, named: str
) -> None:
    catalog = Catalog()
    publish(catalog, plan(catalog, bounded(own)))
    publish(catalog, plan(catalog, within))
    result = faults(catalog, beyond)
    name = own.partition(":")[0]
    assert named in result[path]
    assert f"({name})" in result[path]
    assert "the operator, who alone can raise it" in result[path]
    publish(catalog, plan(catalog, bounded(f"{name}: 1000000") + beyond))


def test_what_stands_beyond_a_bound_is_changed_and_made_less_but_does_not_grow() -> None:
    catalog = Catalog()
    publish(catalog, plan(catalog, meters(6)))
    publish(catalog, plan(catalog, bounded("profiles_per_event_name: 2, profiles: 2, entries: 2, catalog_bytes: 10")))
    longer = meters(4).replace("{code: m0,", f"{{code: m0, name: {'x' * 2000},")
    assert [change.code for change in plan(catalog, meters(6).replace("m0", "m0, unit: s")).to_publish()] == ["m0"]
    with pytest.raises(DocumentError):
        plan(catalog, meters(7))
    result = plan(catalog, "prune: true\n" + meters(4))
    assert [change.action for change in result.to_publish()] == ["retired", "retired"]
    publish(catalog, result)
    with pytest.raises(DocumentError, match="catalog_bytes"):
        plan(catalog, longer)


def test_a_document_that_says_nothing_of_bounds_leaves_them() -> None:
    catalog = Catalog()
    publish(catalog, plan(catalog, bounded("profiles: 7")))
    assert plan(catalog, "namespace: {code: shop}").to_publish() == []
    [change] = plan(catalog, "namespace: {code: shop, bounds: {}}").to_publish()
    assert bounds_of(getattr(change.model, "bounds", None)) == BOUNDS


def test_the_table_and_what_may_be_set_name_the_same_bounds() -> None:
    names = {item.name for item in fields(Bounds)}
    assert names | {"requests_per_second", "events_per_second", "bytes_per_second"} == set(NamespaceBounds.model_fields)


def test_the_page_tells_each_bound_with_its_number() -> None:
    page = (Path(__file__).parents[4] / "ingest/README.md").read_text()
    section = page.partition("## Bounds of a namespace")[2].partition("## ")[0]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row[:3] == "| `"]
    told: dict[str, str] = {}
    for names, numbers in rows:
        bounds = re.findall(r"`([a-z_]+)`", names)
        parts = numbers.split(";") if ";" in numbers else [numbers] * len(bounds)
        told |= dict(zip(bounds, map(str.strip, parts), strict=True))
    for item in fields(Bounds):
        value = getattr(BOUNDS, item.name)
        assert told[item.name] == (f"{value >> 20} MiB" if item.name == "catalog_bytes" else f"{value:,}"), item.name
    assert set(told) == set(NamespaceBounds.model_fields)


def test_the_size_of_a_catalog_follows_every_version() -> None:
    catalog = applied()
    sizes = [sum(entry.size for kind in ("namespace", "meter", "feature", "product", "plan", "account", "subscription")
                 for entry in catalog.view("shop").all(kind))]  # fmt: skip
    assert catalog.indexes("shop").size == sizes[0] > 0
    publish(catalog, plan(catalog, BASE.replace("code: NO,", "code: NO, name: Norma,")))
    assert catalog.indexes("shop").size > sizes[0]
    publish(catalog, plan(catalog, "features: []", retire=[("feature", "api")]))
    assert catalog.view("shop").get("feature", "api") is None
    assert catalog.indexes("shop").size < sizes[0] + 40


def test_a_filter_is_compiled_once_however_many_values_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    import ingest.catalog.checks.empty_filters as module

    real = module.compile_test
    monkeypatch.setattr(module, "compile_test", lambda *remainder: compiled.append(remainder[0]) or real(*remainder))
    catalog = Catalog()
    plan(catalog, listed(500))
    assert sorted(compiled) == ["exists", "in"]
    assert len(str(PlacedFilter(0, "$", Filter(property=("x",), operator="in", value=["v"] * 500)))) < 200


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8), st.sampled_from(["p", "q"])), min_size=1, max_size=12)


@given(SPANS)
def test_subscriptions_of_one_account_are_refused_where_any_two_overlap(spans: list[tuple[int, int, str]]) -> None:
    text = """
meters: [{code: m, profiles: [{code: n, aggregation: count}]}, {code: o, profiles: [{code: n, aggregation: count}]}]
products: [{code: m, profile: m}, {code: o, profile: o}]
plans:
  - {code: p, currency: USD, charges: [{product: m, price: {model: flat, amount: "1"}}]}
  - code: q
    currency: USD
    charges: [{product: m, price: {model: flat, amount: "1"}}, {product: o, price: {model: flat, amount: "1"}}]
accounts: [{code: a}]
subscriptions:
""" + "".join(
        f"  - {{code: s{number}, account: a, plan: {code}, start: '2026-01-{start + 1:02}T00:00:00Z', end: "
        f"'2026-01-{start + length + 1:02}T00:00:00Z'}}\n"
        for number, (start, length, code) in enumerate(spans)
    )
    overlapping = any(
        span[0] < second_span[0] + second_span[1] and second_span[0] < span[0] + span[1]
        for span, second_span in combinations(spans, 2)
    )
    if overlapping:
        assert all("of account a, as subscription" in detail for detail in faults(Catalog(), text).values())
    else:
        plan(Catalog(), text)


def test_changes_are_published_in_parts_that_are_read_back() -> None:
    assert list(batched([], 3)) == []
    assert [len(part) for part in batched(plan(Catalog(), meters(6)).to_publish(), 3)] == [3, 3, 1]
