"""Events by a key, and of an event type, that another gateway has published a moment before are taken."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request

from ingest.events.events_api import EVENT, EventsApi
from ingest.gateway_metrics import GatewayMetrics
from ingest.http.auth import Guard
from schemas.catalog.base import Model
from schemas.catalog.keys import ApiKey
from schemas.catalog.meters import EventType
from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.http.api_keys import KIND, key_hash, key_text
from schemas.settings import load_settings

NOW = 1_767_225_600_000_000
TEXT = key_text("tour", "key_1", bytes(32))
KEY = (KIND, ApiKey(code="key_1", hash=key_hash(TEXT), scopes=("ingest",)))
STRICT = ("namespace", Namespace(code="tour", unknown_events="reject"))
CALL = ("event_type", EventType(code="call"))
BODY = json.dumps({"event_name": "call", "account_id": "acme"}).encode()


class LateGateway:
    """A gateway whose catalog has ``known``, and what ``published`` elsewhere only once it is waited for."""

    def __init__(self, *known: tuple[str, Model], published: tuple[tuple[str, Model], ...] = ()) -> None:
        self.waits = 0
        self.rejected: list[str] = []
        self.catalog, self._published = Catalog(), published
        self._apply(known)
        follower: Any = SimpleNamespace(catalog=self.catalog, fresh=lambda _seconds: True, reached=self._reached)
        guard = Guard(load_settings(admin_key="root"), follower, lambda: NOW)
        sources: Any = SimpleNamespace(now_us=lambda: NOW, new_key=lambda: "k", new_id=lambda: bytes(16))
        delivery: Any = SimpleNamespace(send=lambda *_: _delivered())
        ready: Any = SimpleNamespace(refusal=lambda: None)
        producer: Any = SimpleNamespace(produce=self._produce)
        self.api = EventsApi(
            guard=guard, catalog=follower, delivery=delivery, producer=producer, metrics=GatewayMetrics(),
            sources=sources, ready=ready,
        )  # fmt: skip

    def _apply(self, entries: tuple[tuple[str, Model], ...]) -> None:
        for kind, model in entries:
            record = record_of("tour", model, kind=kind, version=1, author="t", claim_id="c")
            assert self.catalog.apply(record, self.catalog.next_offset, NOW) is not None

    def _reached(self, _moment: float) -> bool:
        self.waits += 1
        self._apply(self._published)
        self._published = ()
        return True

    def _produce(self, topic: str, _value: bytes, done: Any, **_: Any) -> None:
        self.rejected.append(topic)
        done(None)

    async def send(self, body: bytes = BODY, times: int = 1) -> list[int]:
        return [(await self._answer(body)) for _ in range(times)]

    async def _answer(self, body: bytes) -> int:
        headers = [(b"authorization", f"Bearer {TEXT}".encode()), (b"content-length", str(len(body)).encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/events", "query_string": b"", "headers": headers}

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        return (await self.api.answer(Request(scope, receive), EVENT)).status_code


async def _delivered() -> None:
    pass


def test_a_key_that_was_just_made_elsewhere_is_let_in_and_a_wrong_one_is_looked_for_once() -> None:
    gateway = LateGateway(STRICT, CALL, published=(KEY,))
    assert (asyncio.run(gateway.send()), gateway.waits) == ([202], 1)
    gateway = LateGateway(STRICT, CALL)
    assert (asyncio.run(gateway.send(times=30)), gateway.waits) == ([401] * 30, 1)


def test_an_event_of_a_type_that_was_just_declared_elsewhere_is_taken_and_others_are_refused_once() -> None:
    gateway = LateGateway(STRICT, KEY, published=(CALL,))
    assert (asyncio.run(gateway.send()), gateway.waits, gateway.rejected) == ([202], 1, [])
    gateway = LateGateway(STRICT, KEY)
    assert asyncio.run(gateway.send(times=30)) == [422] * 30
    assert (20 <= gateway.waits <= 25, len(gateway.rejected)) == (True, 30)  # most of them were refused at once


def test_what_no_catalog_would_take_is_refused_without_a_wait() -> None:
    gateway = LateGateway(STRICT, KEY, CALL)
    assert (asyncio.run(gateway.send(b'{"event_name": "call"}')), gateway.waits) == ([422], 0)
