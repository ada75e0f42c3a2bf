"""A catalog document of a shop, and its plans, publication and faults."""

from __future__ import annotations

import pytest

from ingest.catalog.changes import CatalogPlan
from ingest.catalog.document import DocumentError, load_document
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import read_document
from schemas.catalog.state import Catalog, record_of

BASE = """
namespace: {code: shop, max_event_age_seconds: null}
meters:
  - {code: calls, profiles: [{code: n, aggregation: count}]}
  - code: size
    profiles: [{code: total, aggregation: sum, property: bytes}, {code: top, aggregation: max, property: bytes}]
features: [{code: api, profile: calls, limit: "1000", reset: month}]
products:
  - {code: call, profile: calls}
  - {code: volume, profile: size.total}
  - {code: seat, kind: flat}
plans:
  - code: pro
    currency: USD
    charges:
      - {product: call, price: {model: per_unit, unit_amount: 0.10}}
      - {product: seat, price: {model: flat, amount: 12.50}}
accounts: [{code: NO, time_zone: America/New_York}]
subscriptions: [{code: s1, account: NO, plan: pro, start: 2013-03-10}]
"""


def plan(
    catalog: Catalog, text: str, retire: list[tuple[str, str]] | None = None, now_us: int | None = None
) -> CatalogPlan:
    document = read_document(load_document(text.encode()), "shop")
    return plan_document(catalog.view("shop"), document, retire or [], now_us=now_us)


def publish(catalog: Catalog, expected: CatalogPlan) -> None:
    for change in expected.to_publish():
        record = record_of(
            expected.namespace, change.model, kind=change.kind, version=change.version, author="", claim_id="",
            retired=change.action == "retired",
        )  # fmt: skip
        offset = catalog.next_offset
        assert catalog.apply(record, offset, 1_000_000 * offset) is not None, change


def applied(text: str = BASE) -> Catalog:
    catalog = Catalog()
    publish(catalog, plan(catalog, text))
    return catalog


def faults(catalog: Catalog, text: str, retire: list[tuple[str, str]] | None = None) -> dict[str, str]:
    with pytest.raises(DocumentError) as caught:
        plan(catalog, text, retire)
    return {fault.path: fault.detail for fault in caught.value.faults}


def codes(expected: CatalogPlan, action: str) -> list[tuple[str, str, int]]:
    return [(change.kind, change.code, change.version) for change in expected.changes if change.action == action]
