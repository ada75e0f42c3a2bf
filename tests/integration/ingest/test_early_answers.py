"""Answers that a connection gives by itself, before the application: in order, on a connection that goes on, for small
bodies alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schemas.http.connections import Headers
from schemas.http.early_answers import EARLY, EARLY_BODY, AnsweringProtocol, EarlyAnswer, answering_protocol
from schemas.http.serving import Server
from tests.integration.ingest.served import served

pytestmark = pytest.mark.integration

SHED = EarlyAnswer(Response(b"shed", 503), lambda: True)


def early(target: bytes, _headers: Headers) -> object:
    return SHED if target == b"/shed" else target == b"/counted"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    body = await request.body()
    await Response(b"%s %d %d" % (scope["path"].encode(), len(body), bool(scope["state"].get(EARLY))))(
        scope, receive, send
    )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    protocol = answering_protocol(early, 1_000)
    AnsweringProtocol.pause_for_each, for_each = 3600.0, AnsweringProtocol.pause_for_each
    AnsweringProtocol.most_pause, most = 3600.0, AnsweringProtocol.most_pause
    server = Server(
        uvicorn.Config(answer, port=0, http=protocol, lifespan="off", log_level="critical", ws="none", loop="uvloop")
    )
    yield from served(server)
    AnsweringProtocol.pause_for_each, AnsweringProtocol.most_pause = for_each, most


def post(target: str, body: bytes, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in ("Host: x", f"Content-Length: {len(body)}", *fields))
    return f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def answers(port: int, *pieces: bytes) -> list[tuple[int, bytes]]:
    """(status, body) of all that comes until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    read = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        read.append((int(head[9:12]), rest[:length]))
        received = rest[length:]
    return read


END = post("/end", b"", "Connection: close")


def test_the_connection_goes_on_and_the_body_is_thrown_away(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a pause: the second refusal in a row would end the reading for an hour, if the third came only then.
    monkeypatch.setattr(AnsweringProtocol, "pause_for_each", 0.0)
    assert answers(port, post("/shed", b"abc"), post("/shed", b""), post("/other", b"abcd"), END) == [
        (503, b"shed"), (503, b"shed"), (200, b"/other 4 0"), (200, b"/end 0 0"),
    ]  # fmt: skip


def test_a_connection_that_asks_again_at_once_is_read_later_and_the_others_are_not(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as hasty:
        for _ in range(2):
            hasty.sendall(post("/shed", b""))
            assert b" 503 " in hasty.recv(65536)
        hasty.sendall(post("/shed", b""))
        assert answers(port, post("/shed", b""), END) == [(503, b"shed"), (200, b"/end 0 0")]
        hasty.setblocking(False)
        with pytest.raises(BlockingIOError):
            hasty.recv(65536)


def test_it_is_read_again_after_the_pause_whatever_was_refused_before(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnsweringProtocol, "pause_for_each", 0.001)
    assert answers(port, *[post("/shed", b"")] * 9, post("/other", b"abcd"), END)[-2:] == [
        (200, b"/other 4 0"),
        (200, b"/end 0 0"),
    ]


def test_requests_that_come_at_once_are_answered_in_their_order(port: int) -> None:
    # The second may not overtake the first, which the application answers: it goes the same way.
    both = answers(port, post("/first", b"1") + post("/shed", b"22") + END)
    assert [body for _, body in both] == [b"/first 1 0", b"/shed 2 0", b"/end 0 0"]


def test_the_application_gets_what_was_found_early(port: int) -> None:
    assert answers(port, post("/counted", b"a") + END)[0] == (200, b"/counted 1 1")


@pytest.mark.parametrize(
    "request_",
    [
        post("/shed", b"x" * (EARLY_BODY + 1)),
        b"POST /shed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        post("/shed", b"a", "Connection: close"),
        b"GET /shed HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["large", "chunked", "last", "get"],
)
def test_what_is_not_small_or_not_kept_open_goes_to_the_application(port: int, request_: bytes) -> None:
    assert answers(port, request_ + END)[0][0] == 200


def test_a_body_that_does_not_come_has_no_more_time_than_a_head(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnsweringProtocol, "head_seconds", 0.5)
    assert answers(port, post("/shed", b"abc")[:-1])[:2][0] == (503, b"shed")


def test_a_newcomer_does_not_wait_for_one_turn_of_the_loop_for_each_connection_before_it(port: int) -> None:
    async def connect() -> list[bytes]:
        async def ask() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(END)
            read = await reader.read()
            writer.close()
            return read[:12]

        return await asyncio.gather(*(ask() for _ in range(300)))

    assert set(asyncio.run(connect())) == {b"HTTP/1.1 200"}
