"""Entries that are larger than a record may be are told with their size and the limit, before anything is written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ingest.catalog import catalog_publisher
from ingest.catalog.catalog_publisher import CatalogPublisher, EntriesTooLarge, LostClaims
from schemas.catalog.models import Account, Product
from schemas.settings import Settings


class Writer:
    def __init__(self, settings: Settings, topic: str) -> None:
        self.written: list[Any] = []
        self.parts: list[int] = []

    def append_all(self, records: Any, partition: int) -> list[tuple[int, int]]:
        self.parts.append(len(records))
        self.written += records
        return [(0, len(self.written) - len(records) + number) for number in range(len(records))]


def change(kind: str, model: Any) -> Any:
    return SimpleNamespace(kind=kind, code=model.code, model=model, version=1, action="created")


def test_nothing_is_written_where_an_entry_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_publisher, "LedgerWriter", Writer)
    catalog: Any = SimpleNamespace(wait_for=lambda offset, timeout: True)
    publisher = CatalogPublisher(Settings().model_copy(update={"kafka_record_bytes": 6_096}), catalog, lambda: "claim")
    small = change("account", Account(code="acme"))
    large = change("product", Product(code="calls", name="x" * 200, kind="flat"))
    large.model = large.model.model_copy(update={"name": "x" * 5_000})
    plan: Any = SimpleNamespace(namespace="shop", to_publish=lambda: [small, large])
    for step in (publisher.check, publisher.publish):
        with pytest.raises(
            EntriesTooLarge, match=r"product calls \(5\d\d\d bytes\): an entry has up to 2000 bytes"
        ) as raised:
            step(plan, "author")
        assert [(entry.code, size > 5_000) for entry, size in raised.value.entries] == [("calls", True)]
    writer: Any = publisher._writer
    assert writer.written == []
    plan.to_publish = lambda: [small]
    publisher.check(plan, "author")


def test_a_large_document_is_written_in_parts_each_read_back_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers reach the log's end between parts, so that no gateway takes its catalog for stale, and another's change
    waits for one part alone."""
    monkeypatch.setattr(catalog_publisher, "LedgerWriter", Writer)
    monkeypatch.setattr(catalog_publisher, "AT_ONCE", 3)
    seen: list[tuple[int, int]] = []
    versions = SimpleNamespace(versions=lambda *_: [])
    catalog: Any = SimpleNamespace(
        wait_for=lambda end, timeout: seen.append((end, len(publisher._writer.written))) or True, catalog=versions
    )
    publisher: Any = CatalogPublisher(Settings(), catalog, lambda: "claim")
    plan: Any = SimpleNamespace(
        namespace="shop", to_publish=lambda: [change("account", Account(code=f"a{number}")) for number in range(7)]
    )
    with pytest.raises(LostClaims):  # nobody's catalog has them in this test
        publisher.publish(plan, "author")
    assert publisher._writer.parts == [3, 3, 1]
    assert seen == [(3, 3), (6, 6), (7, 7)]
