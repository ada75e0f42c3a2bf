"""Bodies that come too slowly end, with an answer that says so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from schemas.http import serving
from schemas.http.serving import BoundedBodies


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, and lets out that the client has gone."""
    await Response(await Request(scope, receive).body())(scope, receive, send)


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    """Answers something else where the client has gone, as frameworks do."""
    message = await receive()
    while message.get("more_body"):
        message = await receive()
    await Response(b"gone?", 400)(scope, receive, send)


async def early(scope: Any, receive: Any, send: Any) -> None:
    """Answers before it reads."""
    await Response(b"early")(scope, receive, send)
    await receive()


def answer(app: Any, pieces: Any) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        await BoundedBodies(app, 1_000_000)({"type": "http", "headers": [], "method": "POST"}, pieces, send)

    asyncio.run(run())
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


async def drops() -> Any:
    """Piece after piece, without an end."""
    await asyncio.sleep(0)
    return {"type": "http.request", "body": b"x", "more_body": True}


async def nothing() -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize("app", [echo, deaf])
@pytest.mark.parametrize(("pieces", "bound"), [(drops, "BODY_SECONDS"), (nothing, "BODY_PAUSE_SECONDS")])
def test_a_body_that_takes_too_long_or_pauses_is_answered_408(
    monkeypatch: pytest.MonkeyPatch, app: Any, pieces: Any, bound: str
) -> None:
    monkeypatch.setattr(serving, bound, 0.01)
    status, body = answer(app, pieces)
    assert (status, json.loads(body)["reason"]) == (408, "slow_request")


def test_what_was_answered_before_its_body_came_keeps_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "BODY_PAUSE_SECONDS", 0.01)
    assert answer(early, nothing) == (200, b"early")


def test_a_whole_body_is_given_on() -> None:
    pieces = iter([(b"a", True), (b"b", True), (b"c", False)])

    async def receive() -> Any:
        piece, more = next(pieces)
        return {"type": "http.request", "body": piece, "more_body": more}

    assert answer(echo, receive) == (200, b"abc")
