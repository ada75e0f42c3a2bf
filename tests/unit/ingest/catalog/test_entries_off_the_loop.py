"""A large entry is read in a thread of its namespace's share, not in the event loop, which answers everybody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from ingest.catalog import catalog_api
from ingest.catalog.catalog_api import CatalogApi
from ingest.catalog.document import load_document
from ingest.http.gateway_problems import Problem
from schemas.catalog.state import Entry
from schemas.http.api_keys import ALL_SCOPES, Access


class Guard:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def namespace(self, request: Any, access: Access) -> str:
        return "shop"

    @asynccontextmanager
    async def body(self, *_: Any) -> AsyncIterator[bytes]:
        yield self._body


@pytest.mark.parametrize("method", ["create", "replace"])
@pytest.mark.parametrize("body", [b'{"code": "acme"}', b"{"])
def test_an_entry_is_read_in_a_thread(monkeypatch: pytest.MonkeyPatch, method: str, body: bytes) -> None:
    read_in: list[threading.Thread] = []

    def read(text: bytes, *, json_only: bool) -> Any:
        read_in.append(threading.current_thread())
        return load_document(text, json_only=json_only)

    monkeypatch.setattr(catalog_api, "load_document", read)
    throttle: Any = SimpleNamespace(working=nullcontext, tick=lambda: None)
    guard: Any = Guard(body)
    catalog: Any = None
    publisher: Any = None
    api = CatalogApi(guard, catalog, publisher, throttle)
    entry = Entry("shop", "account", "acme", 1, False, 0, 0, 0, {"code": "acme"})
    shown = entry, SimpleNamespace(warned=dict)
    service: Any = SimpleNamespace(create=lambda *_: shown, replace=lambda *_: shown)
    api._service = service
    request: Any = SimpleNamespace(state=SimpleNamespace(access=Access(None, ALL_SCOPES, "admin")), headers={})

    async def run() -> Any:
        made = api.create(request, "account") if method == "create" else api.replace(request, "account", "acme")
        return await made

    if body == b"{":
        with pytest.raises(Problem, match="not JSON") as raised:
            asyncio.run(run())
        assert (raised.value.status, raised.value.reason) == (400, "malformed")
    else:
        asyncio.run(run())
    [thread] = read_in
    assert thread is not threading.main_thread()
    api.stop()
