"""Bodies under way at the rating service: without a key none is read, and one key's leave room for another's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rating.api.body_room import SMALL_BYTES, BodyRoom
from schemas.http.api_keys import Access, Denied

LIMIT = 1024 * 1024


class Keys:
    """Every text is a key of the namespace that it names, but for an empty one."""

    def access(self, authorization: str | None, now_us: int) -> Access:
        if not authorization:
            raise Denied(401, "unauthorised", "no key")
        return Access(authorization, frozenset({"read"}), authorization, authorization)


class Service:
    """Reads whole bodies, each of which ends with the event ``go_on``."""

    def __init__(self) -> None:
        self.reading = 0
        self.most = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await receive()
        self.reading -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def answered(app: Any, go_on: asyncio.Event, key: str, **headers: str) -> tuple[int, dict[str, Any]]:
    sent: list[Any] = []

    async def receive() -> Any:
        await go_on.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    own = {"authorization": key} | {name.replace("_", "-"): value for name, value in headers.items()}
    fields = [(name.encode(), value.encode()) for name, value in own.items() if value]
    await app({"type": "http", "headers": fields}, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else {}


LARGE = {"content_length": str(LIMIT)}


@pytest.mark.parametrize("headers", [LARGE, {"transfer_encoding": "chunked"}, {"content_length": "-1"}])
def test_a_large_body_without_a_key_is_refused_unread(headers: dict[str, str]) -> None:
    service = Service()
    keys: Any = Keys()
    status, problem = asyncio.run(answered(BodyRoom(service, keys, 64 * LIMIT, LIMIT), asyncio.Event(), "", **headers))
    assert (status, problem["reason"], service.most) == (401, "unauthorised", 0)


@pytest.mark.parametrize("headers", [{}, {"content_length": str(SMALL_BYTES)}])
def test_small_ones_and_none_need_no_room(headers: dict[str, str]) -> None:
    service = Service()
    keys: Any = Keys()

    async def run() -> int:
        go_on = asyncio.Event()
        app = BodyRoom(service, keys, LIMIT, LIMIT)
        many = [asyncio.create_task(answered(app, go_on, "", **headers)) for _ in range(50)]
        await asyncio.sleep(0)
        reading = service.reading
        go_on.set()
        assert {status for status, _ in await asyncio.gather(*many)} == {200}
        return reading

    assert asyncio.run(run()) == 50


def test_one_keys_large_bodies_leave_room_for_anothers() -> None:
    service = Service()
    keys: Any = Keys()

    async def run() -> None:
        go_on = asyncio.Event()
        app = BodyRoom(service, keys, 16 * LIMIT, LIMIT)
        noisy = [asyncio.create_task(answered(app, go_on, "noisy", **LARGE)) for _ in range(10)]
        await asyncio.sleep(0)
        assert service.reading == 2, "an eighth of the room"
        quiet = asyncio.create_task(answered(app, go_on, "quiet", **LARGE))
        await asyncio.sleep(0)
        assert service.reading == 3
        go_on.set()
        assert {status for status, _ in await asyncio.gather(*noisy, quiet)} == {200}

    asyncio.run(run())


def test_who_has_enough_in_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rating.api.body_room._WAITING", 1)
    service = Service()
    keys: Any = Keys()

    async def run() -> tuple[int, dict[str, Any]]:
        go_on = asyncio.Event()
        app = BodyRoom(service, keys, 8 * LIMIT, LIMIT)
        noisy = [asyncio.create_task(answered(app, go_on, "noisy", **LARGE)) for _ in range(2)]
        await asyncio.sleep(0)
        refused = await answered(app, go_on, "noisy", **LARGE)
        go_on.set()
        await asyncio.gather(*noisy)
        return refused

    status, problem = asyncio.run(run())
    assert status == 429
    assert "wait" in problem["detail"]
