"""A condition of a request (If-Match, a new code) holds for the very version that is replaced, whatever another gateway
publishes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ingest.catalog import catalog_publisher
from ingest.catalog.catalog_problems import Caller
from ingest.catalog.catalog_publisher import CatalogPublisher
from ingest.catalog.catalog_service import CatalogService
from ingest.http.gateway_problems import Problem
from schemas.catalog.follower import apply_record
from schemas.catalog.models import Account
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.http.api_keys import Access
from schemas.kafka.codec import codec
from schemas.ledgers.ledger_reader import LogRecord
from schemas.settings import Settings

CALLER = Caller("default", Access(None, frozenset({"admin"}), "clerk"))


class Shared(Catalog):
    """A catalog that another gateway writes to: ``meanwhile`` runs once, right after the next view is taken."""

    meanwhile: Callable[[], None] | None = None

    def view(self, namespace: str, offset: int | None = None) -> NamespaceView:
        view = super().view(namespace, offset)
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            meanwhile()
        return view

    def append(self, value: bytes) -> int:
        offset = self.next_offset
        apply_record(self, LogRecord(0, offset, offset, value))
        return offset

    def publish(self, version: int, name: str) -> None:
        model = Account(code="acme", name=name)
        record = record_of("default", model, kind="account", version=version, author="other", claim_id=name)
        self.append(codec("catalog_entry").encode(record))


@pytest.fixture
def catalog() -> Shared:
    return Shared()


@pytest.fixture
def service(catalog: Shared, monkeypatch: pytest.MonkeyPatch) -> CatalogService:
    class Writer:
        limit = 100_000

        def __init__(self, *_: object) -> None: ...

        def append_all(self, records: list[tuple[bytes, bytes]], partition: int) -> list[tuple[int, int]]:
            return [(partition, catalog.append(value)) for _, value in records]

    monkeypatch.setattr(catalog_publisher, "LedgerWriter", Writer)
    monkeypatch.setattr(catalog_publisher, "create_inbox", lambda *_: None)
    follower: Any = SimpleNamespace(catalog=catalog, wait_for=lambda *_: True, fresh=lambda _: True)
    return CatalogService(follower, CatalogPublisher(Settings(), follower, lambda: "ours"))


def names(catalog: Shared) -> list[str]:
    return [entry.model.name for entry in catalog.view("default").history("account", "acme")]


def test_two_gateways_do_not_both_replace_one_version(catalog: Shared, service: CatalogService) -> None:
    catalog.publish(1, "first")
    catalog.meanwhile = lambda: catalog.publish(2, "theirs")
    with pytest.raises(Problem) as raised:
        service.replace("account", "acme", {"code": "acme", "name": "ours"}, CALLER, '"1"')
    assert (raised.value.status, raised.value.reason) == (409, "lost_claim")
    assert names(catalog) == ["first", "theirs"]


def test_two_gateways_do_not_both_create_an_entry(catalog: Shared, service: CatalogService) -> None:
    catalog.meanwhile = lambda: catalog.publish(1, "theirs")
    with pytest.raises(Problem) as raised:
        service.create("account", {"code": "acme", "name": "ours"}, CALLER)
    assert (raised.value.status, raised.value.reason) == (409, "lost_claim")
    assert names(catalog) == ["theirs"]


def test_a_version_that_came_meanwhile_is_not_retired(catalog: Shared, service: CatalogService) -> None:
    catalog.publish(1, "first")
    catalog.meanwhile = lambda: catalog.publish(2, "theirs")
    with pytest.raises(Problem) as raised:
        service.retire("account", "acme", CALLER, '"1"')
    assert (raised.value.status, raised.value.reason) == (409, "lost_claim")
    assert not catalog.view("default").history("account", "acme")[-1].retired


def test_the_answer_is_the_version_that_was_written_though_another_came_since(
    catalog: Shared, service: CatalogService, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.publish(1, "first")
    publish = CatalogPublisher.publish

    def published(self: CatalogPublisher, *arguments: Any) -> None:
        publish(self, *arguments)
        catalog.publish(3, "theirs")

    monkeypatch.setattr(CatalogPublisher, "publish", published)
    entry, _ = service.replace("account", "acme", {"code": "acme", "name": "ours"}, CALLER, '"1"')
    assert (entry.version, entry.model.name) == (2, "ours")
    assert names(catalog) == ["first", "ours", "theirs"]
