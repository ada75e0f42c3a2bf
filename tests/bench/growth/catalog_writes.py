"""One account or subscription written to a catalog of so many entries, one page read of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

from growth.fit import cpu_ms
from ingest.catalog.catalog_problems import Caller
from ingest.catalog.catalog_service import CatalogService
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import Document, DocumentEntry
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, record_of
from schemas.http.api_keys import Access

SIZES = (20_000, 200_000)
NAMESPACE = "shop"


def publish(catalog: Catalog, kind: str, body: dict[str, Any], version: int = 1) -> None:
    """Append an entry to the catalog."""
    offset = catalog.next_offset
    model = KINDS[kind].model_validate(body)
    record = record_of(NAMESPACE, model, kind=kind, version=version, author="", claim_id=str(offset))
    assert catalog.apply(record, offset, offset) is not None


def filled(size: int) -> Catalog:
    """A catalog of one plan, and accounts with a subscription each."""
    catalog = Catalog()
    publish(catalog, "namespace", {"code": NAMESPACE})
    publish(catalog, "meter", {"code": "calls", "profiles": [{"code": "n", "aggregation": "count"}]})
    publish(catalog, "product", {"code": "call", "profile": "calls"})
    price = {"model": "per_unit", "unit_amount": "0.1"}
    publish(catalog, "plan", {"code": "pro", "currency": "USD", "charges": [{"product": "call", "price": price}]})
    for number in range(size // 2):
        publish(catalog, "account", {"code": f"a{number * 7919 % size:07}"})
        publish(catalog, "subscription", subscription(number, size))
    return catalog


def subscription(number: int, size: int) -> dict[str, Any]:
    """The body of an account's subscription."""
    account = f"a{number * 7919 % size:07}"
    return {
        "code": f"s{number:07}", "account": account, "plan": "pro", "plan_version": 1, "start": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def measure(size: int) -> Iterator[tuple[str, float]]:
    """CPU milliseconds that the gateway's interpreter is held: the plan, without Kafka."""
    catalog = filled(size)
    yield "first write", cpu_ms(lambda: write(catalog, "account", {"code": "first"}), 1)
    numbers = count()
    yield "an account created", cpu_ms(lambda: write(catalog, "account", {"code": f"new{next(numbers)}"}), 9)
    ends = ({**subscription(number, size), "end": "2027-01-01T00:00:00Z"} for number in count())
    yield "a subscription ended", cpu_ms(lambda: write(catalog, "subscription", next(ends)), 9)
    follower: Any = SimpleNamespace(catalog=catalog)  # all that a page asks
    publisher: Any = None
    service = CatalogService(follower, publisher)
    caller = Caller(NAMESPACE, Access(NAMESPACE, frozenset({"read"}), "bench"))
    _, cursor = service.page("account", caller, 100, None)
    yield "a page of 100 accounts", cpu_ms(lambda: service.page("account", caller, 100, cursor), 9)


def write(catalog: Catalog, kind: str, body: dict[str, Any]) -> None:
    """Plan one entry as POST and PUT do, and publish it."""
    model = KINDS[kind].model_validate(body)
    document = Document(NAMESPACE, None, False, frozenset(), (DocumentEntry(kind, "$", model),))
    for change in plan_document(catalog.view(NAMESPACE), document).to_publish():
        publish(catalog, change.kind, change.model.model_dump(mode="json"), change.version)
