"""Which inbox topics a worker reads: those that exist, of declared namespaces, and how seldom it asks Kafka."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from schemas.catalog.models import Account, Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.settings import Settings
from stream_processors.inbox import open_inboxes
from stream_processors.inbox.open_inboxes import Inboxes

DEFAULT, SHOP, OLD = "usage.inbox.default", "usage.inbox.shop", "usage.inbox.old"


class Kafka:
    """Its topics, and how often they were listed."""

    def __init__(self) -> None:
        self.topics = {DEFAULT}
        self.lists = 0

    def list_topics(self, timeout: float) -> SimpleNamespace:
        self.lists += 1
        return SimpleNamespace(topics=dict.fromkeys(self.topics))


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    kafka = Kafka()
    monkeypatch.setattr(open_inboxes, "AdminClient", lambda _: kafka)
    return kafka


def publish(catalog: Catalog, namespace: str, model: Namespace | Account, version: int = 1) -> None:
    kind = "namespace" if isinstance(model, Namespace) else "account"
    at = catalog.next_offset
    assert catalog.apply(record_of(namespace, model, kind=kind, version=version, author="", claim_id=str(at)), at, at)


def test_a_namespace_that_does_not_ask_has_none_and_kafka_is_asked_once(kafka: Kafka) -> None:
    catalog = Catalog()
    publish(catalog, "shop", Namespace(code="shop"))
    inboxes = Inboxes(Settings(), catalog)
    for _ in range(5):
        assert inboxes.names() == [DEFAULT]
    publish(catalog, "shop", Account(code="acme"))
    assert inboxes.names() == [DEFAULT]
    assert kafka.lists == 1


def test_one_that_asks_is_looked_for_until_it_is_there(kafka: Kafka) -> None:
    catalog = Catalog()
    publish(catalog, "shop", Namespace(code="shop"))
    inboxes = Inboxes(Settings(), catalog)
    inboxes.names()
    publish(catalog, "shop", Namespace(code="shop", inbox=True), 2)
    assert inboxes.names() == [DEFAULT]
    kafka.topics.add(SHOP)
    assert inboxes.names() == [DEFAULT, SHOP]
    seen = kafka.lists
    assert inboxes.names() == [DEFAULT, SHOP]
    assert kafka.lists == seen


def test_one_that_exists_is_read_though_its_namespace_does_not_ask(kafka: Kafka) -> None:
    """An earlier release made one for each namespace."""
    kafka.topics |= {OLD, "usage.inbox.of-nobody"}
    catalog = Catalog()
    publish(catalog, "old", Namespace(code="old"))
    assert Inboxes(Settings(), catalog).names() == [DEFAULT, OLD]


def test_an_entry_without_an_inbox_is_the_one_that_earlier_releases_wrote() -> None:
    """They refuse fields that they do not know, and a rolling upgrade has both."""
    assert "inbox" not in str(record_of("n", Namespace(code="n"), kind="namespace", version=1, author="", claim_id=""))
    asking = record_of("n", Namespace(code="n", inbox=True), kind="namespace", version=1, author="", claim_id="")
    assert '"inbox": true' in asking["body"]
