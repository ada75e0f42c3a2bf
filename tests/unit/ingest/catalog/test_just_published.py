"""What another gateway has published a moment before is waited for, and nothing else is."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from ingest.catalog import just_published
from ingest.catalog.access.keys_api import KeysApi
from ingest.catalog.access.users_api import UsersApi
from ingest.catalog.catalog_service import CatalogService
from ingest.catalog.just_published import with_just_published
from ingest.events.events_api import EventsApi
from ingest.http.gateway_problems import Problem
from schemas.catalog.models import Namespace
from schemas.catalog.state import Entry
from schemas.http.api_keys import ALL_SCOPES, Access


class Catalog:
    """Of another gateway's namespace, which is known once the follower has been asked ``late`` times whether it has
    reached a moment; every question takes a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, late: int) -> None:
        self.asked, self._late, self._now = 0, late, 100.0
        self.catalog = self
        monkeypatch.setattr(just_published, "time", SimpleNamespace(monotonic=lambda: self._now))
        monkeypatch.setattr(just_published, "_PAUSE_SECONDS", 0)
        monkeypatch.setattr(just_published, "_PAUSES", 5)

    def reached(self, moment: float) -> bool:
        assert moment == 100.0  # of the request's arrival: what is published later is not waited for
        self.asked += 1
        self._now += 1
        return self.known

    @property
    def known(self) -> bool:
        return self.asked >= self._late

    def view(self, namespace: str) -> Any:
        return SimpleNamespace(known=self.known, settings=Namespace(code=namespace))


def target(catalog: Catalog) -> str:
    guard: Any = SimpleNamespace(namespace=lambda *_: "shop")
    other: Any = SimpleNamespace()
    parts: Any = dict.fromkeys(("delivery", "producer", "metrics", "sources", "ready"), other)
    follower: Any = catalog
    api = EventsApi(guard=guard, catalog=follower, **parts)
    request: Any = other
    return asyncio.run(api.target(request, Access(None, ALL_SCOPES, "admin")))[0]


def test_events_of_a_namespace_that_was_just_declared_elsewhere_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target(catalog := Catalog(monkeypatch, 0)) == "shop"
    assert catalog.asked == 0
    assert target(catalog := Catalog(monkeypatch, 2)) == "shop"
    with pytest.raises(Problem) as refused:
        target(catalog := Catalog(monkeypatch, 99))
    assert (refused.value.status, catalog.asked) == (404, 5)


@pytest.mark.parametrize("kind", [KeysApi, UsersApi])
def test_keys_and_users_of_a_namespace_that_was_just_declared_elsewhere_are_listed(
    monkeypatch: pytest.MonkeyPatch, kind: type[KeysApi | UsersApi]
) -> None:
    catalog, access = Catalog(monkeypatch, 2), Access(None, ALL_SCOPES, "admin")
    follower: Any = catalog
    guard: Any = SimpleNamespace(namespace=lambda *_: "shop")
    request: Any = SimpleNamespace(state=SimpleNamespace(access=access))
    other: Any = SimpleNamespace(tick=lambda: None, working=nullcontext)
    api = kind(guard, follower, other, other, other)

    def page(*_: object, **__: object) -> tuple[list[Entry], None]:
        if not catalog.known:
            raise Problem(404, "unknown_namespace", "detail")
        return [], None

    monkeypatch.setattr(CatalogService, "page", page)
    try:
        answer = asyncio.run(api.page(request, 10, None))
    finally:
        api.stop()
    assert (answer.status_code, catalog.asked) == (200, 2)


@pytest.mark.parametrize(
    ("status", "late", "looks"), [(404, 2, 2), (412, 2, 2), (409, 2, 1), (404, 1, 1), (404, 99, 2), (None, 2, 1)]
)
def test_only_what_an_older_catalog_may_lack_is_looked_for_again(
    monkeypatch: pytest.MonkeyPatch, status: int | None, late: int, looks: int
) -> None:
    """``late`` 1: the catalog was up to date when it was looked at."""
    catalog, tried = Catalog(monkeypatch, late), []

    async def look() -> str:
        tried.append(catalog.asked)
        if status is not None and (len(tried) == 1 or not catalog.known):
            raise Problem(status, "reason", "detail")
        return "entry"

    if status is None or (looks == 2 and late < 99):
        assert asyncio.run(with_just_published(catalog, look)) == "entry"
    else:
        with pytest.raises(Problem):
            asyncio.run(with_just_published(catalog, look))
    assert len(tried) == looks
