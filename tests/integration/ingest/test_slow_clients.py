"""Clients that send slowly, endlessly or not at all: each gets its answer, and the others theirs."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.http import bodies
from ingest.http.bodies import BadBody, read_body
from schemas.http.connections import BoundedProtocol
from schemas.http.serving import BoundedBodies, Server
from tests.integration.ingest.served import served

pytestmark = pytest.mark.integration


class Hasty(BoundedProtocol):
    """The same with less patience."""

    max_head = 4096
    head_seconds = 1.0
    rest_bytes = 4_000_000
    rest_seconds = 1.0


def received(size: int) -> None:
    """Bytes of bodies that the gateway's way of reading counts."""


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The gateway's way of reading a body."""
    if scope["type"] == "lifespan":
        return
    request = Request(scope, receive)
    try:
        body = b"" if scope["path"] == "/plain" else await read_body(request, 100_000, lambda size: received(size))
        if scope["path"] == "/plain":
            body = await request.body()
        response = Response(b"%d" % len(body))
    except BadBody as bad:
        response = bad.response()
    await response(scope, receive, send)


def server() -> Server:
    return Server(
        uvicorn.Config(
            BoundedBodies(echo, 200_000), port=0, http=Hasty, lifespan="off", log_level="critical", ws="none"
        )
    )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "BODY_PAUSE_SECONDS", 0.3)
        yield from served(server())


def talk(port: int, *pieces: bytes) -> bytes:
    """Send, and read until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:  # it has been refused already
            pass
        answer = b""
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        return answer


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("pieces", "status", "reason"),
    [
        ((), b"408", b"slow_request"),
        ((HEAD,), b"408", b"slow_request"),
        ((b"\r\n\r\n",), b"408", b"slow_request"),
        ((HEAD + b"a: " + b"b" * 5000,), b"431", b"headers_too_large"),
        ((HEAD + b"a: " + b"b" * 5000 + b"\r\n\r\n",), b"431", b"headers_too_large"),
        ((HEAD + b"".join(b"h%d: x\r\n" % n for n in range(1000)) + b"\r\n",), b"431", b"headers_too_large"),
        ((b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n",), b"431", b"headers_too_large"),
        ((b"\x16\x03\x01 no http at all\r\n\r\n",), b"400", b"malformed"),
        ((HEAD + b"content-length: 9\r\n\r\nabc",), b"408", b"slow_request"),
        ((HEAD + b"connection: close\r\ncontent-length: 300000\r\n\r\n",), b"413", b"body_too_large"),
        ((HEAD + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n20000\r\n" + b"x" * 0x20000
            + b"\r\n0\r\n\r\n",),
         b"413", b"body_too_large"),
    ],
)  # fmt: skip
def test_each_has_a_defined_answer_and_the_connection_ends(
    port: int, pieces: tuple[bytes, ...], status: bytes, reason: bytes
) -> None:
    answer = talk(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert b'"reason":"' + reason + b'"' in answer
    assert b"connection: close" in answer.lower()
    assert httpx.post(f"http://127.0.0.1:{port}/", content=b"abc").text == "3", "others are served"


def send_without_end(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def test_a_body_without_an_end_is_counted_and_ends_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was answered when it was too large, and read for ever."""
    counted: list[int] = []
    monkeypatch.setattr(f"{__name__}.received", counted.append)
    plain = uvicorn.Config(echo, port=0, http=Hasty, lifespan="off", log_level="critical", ws="none")
    for port in served(Server(plain)):
        connected = socket.create_connection(("127.0.0.1", port), timeout=20)
        with connected as connection, pytest.raises(OSError, match=r"reset|pipe"):
            send_without_end(connection)
        assert 4_000_000 < sum(counted) < 20_000_000


def test_who_was_answered_and_sends_a_byte_now_and_then_does_not_keep_the_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as connection:
        connection.sendall(HEAD + b"content-length: 300000\r\n\r\n")
        answer = b""
        for _ in range(400):
            try:
                if not (more := connection.recv(65536)):
                    break
                answer += more
            except TimeoutError:
                connection.sendall(b"x")
            except ConnectionResetError:
                break
        else:
            pytest.fail("the connection is kept")
    assert answer.startswith(b"HTTP/1.1 413"), answer
    assert httpx.post(f"http://127.0.0.1:{port}/", content=b"abc").text == "3", "others are served"


def test_a_large_body_right_behind_its_head_is_no_large_head(port: int) -> None:
    body = b"x" * 90_000
    for cut in (len(HEAD) + 10, len(HEAD) + 38, len(HEAD) + 41):
        text = HEAD + b"connection: close\r\ncontent-length: 90000\r\n\r\n" + body
        answer = talk(port, text[:cut], text[cut:])
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert answer.endswith(b"90000")


def test_kept_connections_serve_one_request_after_another(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert [client.post("/", content=b"x" * size).text for size in (0, 5000, 50_000, 3)] == [
            "0",
            "5000",
            "50000",
            "3",
        ]


def test_a_server_that_is_told_to_stop_leads_its_clients_away_and_takes_what_still_comes() -> None:
    stopping = server()
    stopping.drain_seconds = 60
    for port in served(stopping):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert "connection" not in client.post("/", content=b"abc").headers
            stopping.handle_exit(signal.SIGTERM, None)
            for _ in range(2):
                answer = client.post("/", content=b"abc")
                assert (answer.text, answer.headers["connection"]) == ("3", "close")
        assert stopping.draining
        assert not stopping.should_exit


def test_who_sends_too_much_is_told_so_and_may_go_on(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for path in ("/", "/plain"):
            for size in (150_000, 2_000_000):
                if (path, size) != ("/plain", 150_000):
                    assert client.post(path, content=b"x" * size).json()["reason"] == "body_too_large"
                assert client.post(path, content=b"abc").text == "3"
