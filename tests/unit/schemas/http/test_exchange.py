"""A body and an answer that pass at once are those that pass by ASGI's messages, byte for byte."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from ingest.http.bodies import BadBody, read_body
from schemas.http.connections import CLOSING, BoundedProtocol
from schemas.http.exchange import EXCHANGE
from tests.unit.schemas.http.served_connection import Transport

HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"


class Connection:
    """A connection whose application reads a body and answers with ``response``; ``at_once``: by the exchange."""

    def __init__(self, response: Response, *, at_once: bool, limit: int = 1_000) -> None:
        self.response = response
        self.at_once = at_once
        self.limit = limit
        self.transport = Transport()
        self.bodies: list[bytes] = []
        self.counted: list[int] = []
        self.passed: list[tuple[bool, bool]] = []  # whether body and answer passed at once
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today")]
        config = uvicorn.Config(self.application, http=BoundedProtocol, log_config=None, interface="asgi3")
        config.load()
        self.protocol = BoundedProtocol(config=config, server_state=self.state, app_state={})
        transport: Any = self.transport
        self.protocol.connection_made(transport)

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope["state"][EXCHANGE]
        if not self.at_once:
            del scope["state"][EXCHANGE]
        came = not exchange._cycle.more_body
        try:
            self.bodies.append(await read_body(Request(scope, receive), self.limit, self.counted.append))
        except BadBody as bad:
            self.bodies.append(bad.reason.encode())
        answered = self.at_once and exchange.answer(self.response)
        if not answered:
            await self.response(scope, receive, send)
        self.passed.append((self.at_once and came, answered))


async def sent(connection: Connection, *pieces: bytes) -> bytes:
    for piece in pieces:
        connection.protocol.data_received(piece)
        for _ in range(5):
            await asyncio.sleep(0)
    connection.protocol.connection_lost(None)
    return b"".join(connection.transport.written)


RESPONSES = [
    Response(b'{"accepted":1}', 202, media_type="application/json"),
    Response(b"", 202, media_type="application/json"),
    Response(b"x" * 70_000, 400, media_type="application/problem+json"),
    Response(None, 204),
    Response(b"{}", 503, {"Retry-After": "1", "Connection": "close"}, "application/json"),
]
REQUESTS = [
    (HEAD + b"\r\nhello",),
    (HEAD + b"\r\nhel", b"lo"),
    (HEAD + b"Connection: close\r\n\r\nhello",),
    (HEAD.replace(b"1.1", b"1.0") + b"\r\nhello",),
    (HEAD + b"Expect: 100-continue\r\n\r\n", b"hello"),
    ((HEAD + b"\r\nhello") * 3,),
    (HEAD.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",),
]


@pytest.mark.parametrize("response", RESPONSES, ids=lambda response: str(response.status_code))
@pytest.mark.parametrize("pieces", REQUESTS)
@pytest.mark.parametrize("draining", [False, True])
@pytest.mark.parametrize("limit", [1_000, 3])
def test_both_ways_are_one(response: Response, pieces: tuple[bytes, ...], draining: bool, limit: int) -> None:
    async def run(at_once: bool) -> tuple[bytes, list[bytes], list[int], bool]:
        connection = Connection(response, at_once=at_once, limit=limit)
        if draining:
            connection.state.default_headers.append(CLOSING)
        written = await sent(connection, *pieces)
        return written, connection.bodies, connection.counted, connection.transport.closed

    written, bodies, counted, closed = asyncio.run(run(True))
    assert (written, bodies, counted, closed) == asyncio.run(run(False))
    assert written.count(b"HTTP/1.1 %d" % response.status_code) == len(bodies) > 0


def test_an_ordinary_answer_is_one_piece() -> None:
    async def run() -> None:
        connection = Connection(RESPONSES[0], at_once=True)
        await sent(connection, HEAD + b"\r\nhello", HEAD + b"\r\nhello")
        assert connection.passed == [(True, True)] * 2
        assert len(connection.transport.written) == 2
        assert connection.state.total_requests == 2

    asyncio.run(run())


def test_a_client_that_does_not_read_or_has_gone_gets_nothing_at_once() -> None:
    async def run() -> None:
        for leave in (lambda protocol: protocol.pause_writing(), lambda protocol: protocol.connection_lost(None)):
            connection = Connection(RESPONSES[0], at_once=True)
            connection.protocol.data_received(HEAD + b"\r\nhello")
            leave(connection.protocol)
            for _ in range(5):
                await asyncio.sleep(0)
            assert connection.transport.written == []
            assert (False, True) not in connection.passed
            for task in list(connection.state.tasks):
                task.cancel()

    asyncio.run(run())
