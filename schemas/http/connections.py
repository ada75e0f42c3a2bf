"""Connections of both services: uvicorn's, with bounds on their number, on slow clients and on endless heads.

uvicorn itself waits for ever for the rest of a request and takes heads of any size.
"""

from __future__ import annotations

import resource
from asyncio import TimerHandle
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from schemas.http.exchange import EXCHANGE, Exchange
from schemas.http.problems import Problem

MAX_HEAD: Final = 32 * 1024
HEAD_SECONDS: Final = 10.0
MOST_CONNECTIONS: Final = 10_000
REST_BYTES: Final = 64 * 1024 * 1024
REST_SECONDS: Final = 30.0
REST: Final = "rest_of_body"
"""In a request's state: what is called with the number of bytes that come after its answer."""
CLOSING: Final = (b"connection", b"close")
"""Among the headers of each answer once the service is about to stop."""
_OTHER_FILES: Final = 128  # that the process needs beside its connections

Headers = Sequence[tuple[bytes, bytes]]


def connections_within_limits(wished_connections: int) -> int:
    """So many connections, or as many as this process may have files open: its limit is raised as far as it goes, since
    a connection that cannot be accepted is one that gets no answer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wished = wished_connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wished:
        soft = wished if hard == resource.RLIM_INFINITY else min(wished, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wished_connections
    return min(wished_connections, max(1, soft - _OTHER_FILES))


class BoundedProtocol(HttpToolsProtocol):
    """A head has MAX_HEAD bytes and HEAD_SECONDS, counted from the connection, or from its first byte on a kept one.

    A client may send the rest of a body that was answered before it was read, so that it comes to read the answer: up
    to REST_BYTES within REST_SECONDS.
    """

    max_head = MAX_HEAD
    head_seconds = HEAD_SECONDS
    rest_bytes = REST_BYTES
    rest_seconds = REST_SECONDS
    most_connections = MOST_CONNECTIONS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._received = 0  # bytes since the head began, as far as it is not over
        self._parsed = 0  # bytes of its target and fields
        self._head_timer: TimerHandle | None = None
        self._idle_since = 0.0
        self._rest = 0  # bytes of a body that came after its answer

    def connection_made(self, transport: Any) -> None:
        """A connection on which nothing comes is ended like one on which too little comes. Beyond ``most_connections``
        idle ones make room; where all are at work, the new one is told so."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        if len(self.connections) > self.most_connections and not self._make_room():
            self._refuse(503, "too_many_connections", "all connections of this service are at work, try again")
            return
        self._await_head()

    def _make_room(self) -> bool:
        """Close idle connections, the longest idle ones of the peer that has most of them; whether there were any."""
        idle = [
            connection
            for connection in self.connections
            if isinstance(connection, BoundedProtocol) and connection is not self and connection.idle
        ]
        if not idle:
            return False
        (peer, _), *_ = Counter(connection.peer for connection in idle).most_common(1)
        theirs = sorted(
            (connection for connection in idle if connection.peer == peer),
            key=lambda connection: connection._idle_since,
        )
        for connection in theirs[
            : max(1, self.most_connections // 64)
        ]:  # some at once: to look for them costs a look at all
            connection.transport.close()
            self.connections.discard(connection)
        return True

    @property
    def idle(self) -> bool:
        """Whether no request is under way on it: none has begun, or all are answered."""
        return self._in_head and self._received == 0 and (self.cycle is None or self.cycle.response_complete)

    @property
    def peer(self) -> str:
        """The address at its other end."""
        return self.client[0] if self.client else ""

    def on_response_complete(self) -> None:
        """See uvicorn."""
        self._idle_since = self.loop.time()
        super().on_response_complete()
        if self._answered_in_body and not self.transport.is_closing():
            self._forget_timer()
            self._rest = 0
            self._head_timer = self.loop.call_later(self.rest_seconds, self.transport.close)

    @property
    def _answered_in_body(self) -> bool:
        """Whether the request whose body is coming has its answer."""
        return not self._in_head and self.cycle is not None and self.cycle.response_complete

    def on_body(self, body: bytes) -> None:
        """See uvicorn. What comes after the answer is counted, and thrown away."""
        if not self._answered_in_body:
            super().on_body(body)
            return
        self._rest += len(body)
        count = self.scope["state"].get(REST)
        if count is not None:
            count(len(body))
        if self._rest > self.rest_bytes:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not over: the parser keeps all of it."""
        if self._in_head:
            self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received:  # most heads come in one piece, and need no timer
            if self._received > self.max_head:
                self._refuse(431, "headers_too_large", f"the request's head is larger than {self.max_head} bytes")
            elif self._head_timer is None and not self.transport.is_closing():
                self._await_head()

    def on_url(self, url: bytes) -> None:
        """See uvicorn."""
        self._parsed += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See uvicorn."""
        self._parsed += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is over; its body has bounds of its own."""
        too_large = self._parsed > self.max_head
        self._in_head, self._received, self._parsed = False, 0, 0
        self._forget_timer()
        if too_large:
            self._in_head, self._received = True, self.max_head + 1
            raise ValueError("head too large")  # the parser stops, and send_400_response says why
        self.head_is_complete()

    def head_is_complete(self) -> None:
        """A head of no more than MAX_HEAD bytes was read: the application gets its request."""
        super().on_headers_complete()
        self.scope["state"][EXCHANGE] = Exchange(self.cycle)

    def on_message_complete(self) -> None:
        """What comes next is a head."""
        self.body_is_complete()
        self._forget_timer()
        self._in_head, self._received, self._parsed = True, 0, 0

    def body_is_complete(self) -> None:
        """All of the request's body was read."""
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """A head that is no HTTP, or was too large though it came in one piece."""
        if self._received > self.max_head:
            self._refuse(431, "headers_too_large", f"the request's head is larger than {self.max_head} bytes")
        else:
            self._refuse(400, "malformed", "this is no HTTP/1.1 request")

    def _await_head(self) -> None:
        detail = f"the request's head did not come within {self.head_seconds:g} s"
        self._head_timer = self.loop.call_later(self.head_seconds, self._refuse, 408, "slow_request", detail)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, reason: str, detail: str) -> None:
        self._forget_timer()
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # an answer is on its way: it ends the connection, whole
            return
        self.transport.write(to_bytes(Problem(status, reason, detail, headers={"connection": "close"}).response()))
        self.transport.close()


def to_bytes(answer: Response, headers: Headers = ()) -> bytes:
    """``answer`` with its own headers and ``headers``, as it is sent."""
    fields = b"".join(b"%s: %s\r\n" % field for field in (*answer.raw_headers, *headers))
    return STATUS_LINE[answer.status_code] + fields + b"\r\n" + bytes(answer.body)


def bounded_protocol(wished_connections: int) -> type[BoundedProtocol]:
    """BoundedProtocol for ``connections_within_limits``."""
    return type("Protocol", (BoundedProtocol,), {"most_connections": connections_within_limits(wished_connections)})
