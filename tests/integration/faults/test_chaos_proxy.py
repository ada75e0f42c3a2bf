"""The faulty way to ClickHouse does what its modes say: what arrives beyond it, and what the client sees."""

from __future__ import annotations

import http.client
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chaos.faulty.proxy import Proxy

pytestmark = pytest.mark.integration

BODY = b"INSERT INTO t FORMAT Native\n" + b"r" * 100_000


class Server(socketserver.ThreadingTCPServer):
    """Keeps what each connection sent, and answers a whole body with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        while line := self.rfile.readline():
            length = 0
            while line.strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                line = self.rfile.readline()
            body = self.rfile.read(length)
            server.bodies.append(body)
            if len(body) == length:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOk.")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    one = Proxy(1)
    one.start(server.server_address[1])
    yield one
    one.stop()


def post(proxy: Proxy, body: bytes = BODY) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    try:
        return ask(connection, body)
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", "/", body)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_it_passes_what_it_does_not_strike(proxy: Proxy, server: Server) -> None:
    assert post(proxy) == 200
    proxy.set("cut")
    assert post(proxy, b"SELECT 1") == 200
    proxy.set("deafen")
    assert post(proxy, b"SELECT 1") == 200
    assert server.bodies == [BODY, b"SELECT 1", b"SELECT 1"]
    assert proxy.hits == 0


def test_a_cut_insert_arrives_in_half(proxy: Proxy, server: Server, wait_until: Callable[..., Any]) -> None:
    proxy.set("cut")
    broken = 0
    while not broken:
        try:
            assert post(proxy) == 200
        except (http.client.HTTPException, OSError):
            broken += 1
    wait_until(lambda: BODY[: len(BODY) // 2] in server.bodies, timeout=20)
    assert proxy.hits == 1


def test_the_answer_of_a_whole_insert_is_lost(proxy: Proxy, server: Server) -> None:
    proxy.set("deafen")
    with pytest.raises((http.client.HTTPException, OSError)):
        post(proxy)
    assert server.bodies == [BODY]


def test_it_refuses_old_connections_and_new_ones_and_recovers(proxy: Proxy, server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    assert ask(connection, BODY) == 200
    proxy.set("refuse")
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(connection, BODY)
    connection.close()
    with pytest.raises((http.client.HTTPException, OSError)):
        post(proxy)
    proxy.set("pass")
    assert post(proxy) == 200
    assert server.bodies == [BODY, BODY]


def test_a_stall_holds_a_request_until_it_ends(proxy: Proxy, server: Server, wait_until: Callable[..., Any]) -> None:
    proxy.set("stall")
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(post(proxy)))
    thread.start()
    wait_until(lambda: proxy.hits == 1, timeout=20)
    assert server.bodies == []
    proxy.set("pass")
    thread.join(20)
    assert answers == [200]
    assert server.bodies == [BODY]
