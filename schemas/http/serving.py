"""The HTTP side that both services share: a uvicorn server with bounds on slow clients, endless heads and large bodies.

uvicorn itself waits for ever for the rest of a request and takes heads of any size.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from asyncio import TimerHandle
from collections import Counter
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from schemas.http.problems import Problem

log = logging.getLogger(__name__)

MAX_HEAD: Final = 32 * 1024
HEAD_SECONDS: Final = 10.0
BODY_PAUSE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 0.5
MOST_CONNECTIONS: Final = 10_000
_OTHER_FILES: Final = 128  # that the process needs beside its connections
EARLY: Final = "early"  # in a request's state: what ``Early`` gave for the application
EARLY_BODY: Final = 16 * 1024
PAUSES: Final = (0.0, 0.025, 0.05, 0.1, 0.2)
"""Seconds until a connection is read again after its first, second, third … request in a row that was answered early:
clients that try again at once leave the loop time for others."""
_CLOSING: Final = (b"connection", b"close")
_ACCEPTED_AT_ONCE: Final = 64


Headers = Sequence[tuple[bytes, bytes]]
Early = Callable[[bytes, Headers], object]
"""Asked of each POST with a small body as soon as its head is read, for (target, headers): a Response is the answer,
instead of the application's; anything else is kept for the application, in the request's state."""


def bounded_protocol(most_connections: int = MOST_CONNECTIONS, early: Early | None = None) -> type[BoundedProtocol]:
    """BoundedProtocol for so many connections, or as many as this process may have files open: its limit is raised as
    far as it goes, since a connection that cannot be accepted is one that gets no answer. ``early``: see ``Early``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wished = most_connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wished:
        soft = wished if hard == resource.RLIM_INFINITY else min(wished, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = most_connections if soft == resource.RLIM_INFINITY else min(most_connections, max(1, soft - _OTHER_FILES))
    return type("Protocol", (BoundedProtocol,), {"most_connections": most, "early": early and staticmethod(early)})


class BoundedProtocol(HttpToolsProtocol):
    """A head has MAX_HEAD bytes and HEAD_SECONDS, counted from the connection, or from its first byte on a kept one."""

    max_head = MAX_HEAD
    head_seconds = HEAD_SECONDS
    most_connections = MOST_CONNECTIONS
    early: Early | None = None
    pauses = PAUSES

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._received = 0  # bytes since the head began, as far as it is not over
        self._parsed = 0  # bytes of its target and fields
        self._head_timer: TimerHandle | None = None
        self._idle_since = 0.0
        self._early_answers = 0  # in a row
        self._answered = False  # the request whose body is being read was answered when its head was

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

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not over: the parser keeps all of it."""
        if self._in_head:
            self._received += len(data)
            if self._head_timer is None:
                self._await_head()
        super().data_received(data)
        if self._answered and self._head_timer is None:
            self._await_head()  # the rest of a body that nobody reads has no more time than a head
        if self._in_head and self._received > self.max_head:
            self._refuse(431, "headers_too_large", f"the request's head is larger than {self.max_head} bytes")

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
        if self.early is not None and self.parser.get_method() == b"POST" and self._answer_early(self.early):
            return
        super().on_headers_complete()

    def _answer_early(self, early: Early) -> bool:
        if (self.cycle is not None and not self.cycle.response_complete) or self.pipeline:
            return False  # answers keep the order of their requests
        if (
            self.expect_100_continue
            or not self.parser.should_keep_alive()
            or _CLOSING in self.server_state.default_headers
        ):
            return False
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        if not length.isdigit() or len(length) > 5 or int(length) > EARLY_BODY:
            return False
        answer = early(self.url, self.headers)
        if not isinstance(answer, Response):
            self.scope["state"][EARLY] = answer
            self._early_answers = 0
            return False
        self._write(answer, self.server_state.default_headers)
        self._answered = True
        self._early_answers += 1
        return True

    def on_body(self, body: bytes) -> None:
        """See uvicorn. The body of a request that was answered is read and thrown away."""
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes next is a head."""
        if self._answered:
            self._answered = False
            self._forget_timer()
            self.on_response_complete()
            self._pause(self.pauses[min(self._early_answers, len(self.pauses)) - 1])
        else:
            super().on_message_complete()
        self._in_head, self._received, self._parsed = True, 0, 0

    def _pause(self, seconds: float) -> None:
        if seconds:
            self.flow.pause_reading()
            self.loop.call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

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
        self._write(Problem(status, reason, detail, headers={"connection": "close"}).response())
        self.transport.close()

    def _write(self, answer: Response, headers: Headers = ()) -> None:
        fields = b"".join(b"%s: %s\r\n" % field for field in (*answer.raw_headers, *headers))
        self.transport.write(STATUS_LINE[answer.status_code] + fields + b"\r\n" + bytes(answer.body))


class BoundedBodies:
    """An application whose requests have at most ``limit`` bytes of body, and no pause in it beyond BODY_PAUSE_SECONDS.

    For frameworks that read the whole body before anything else. A body that is too large only as it comes, or that
    stops, ends as a client that has gone.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced[:19]) > self._limit:
            # Kept open: a client that is still sending would lose the answer with its connection. uvicorn reads on and
            # throws away.
            refused = Problem(413, "body_too_large", f"the body is larger than {self._limit} bytes").response()
            await refused(scope, receive, send)
            return
        size, expected = 0, True

        async def bounded() -> Message:
            nonlocal size, expected
            if not expected:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), BODY_PAUSE_SECONDS)
            except TimeoutError:
                message = {"type": "http.disconnect"}
            size += len(message.get("body", b""))
            if size > self._limit:
                message = {"type": "http.disconnect"}
            expected = bool(message.get("more_body"))
            return message

        await self._app(scope, bounded, send)


class Server(uvicorn.Server):
    """Stops in two steps: for DRAIN_SECONDS it still takes requests, and each answer ends its connection, so that
    clients leave by themselves; then it listens no more, and answers what it has.

    Accepts all connections that wait, up to _ACCEPTED_AT_ONCE in a turn of the loop. uvloop's libuv accepts one in a
    turn (since 1.45): where turns take 25 ms, and somebody else has opened 600, a client would wait 15 s for its
    connection.
    """

    drain_seconds = DRAIN_SECONDS
    _until: float | None = None

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening: list[socket.socket] = []
        self._accepting: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for bound in server.sockets:
                listening = socket.fromfd(bound.fileno(), bound.family, bound.type)
                listening.setblocking(False)
                self._listening.append(listening)
                loop.add_reader(listening.fileno(), self._accept, listening)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening.fileno())
            listening.close()
        await super().shutdown(sockets)

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                log.exception("a connection cannot be accepted")
                return
            accepted.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(self._protocol, accepted))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class  # declared as any protocol; uvicorn makes it so, too
        connection: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return connection

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one does not wait."""
        if self._until is not None:
            super().handle_exit(sig, frame)
            return
        self._until = time.monotonic() + self.drain_seconds
        self.config.encoded_headers.append(_CLOSING)  # of what uvicorn renews each second
        self.server_state.default_headers.append(_CLOSING)

    async def on_tick(self, counter: int) -> bool:
        """Asked every tenth of a second."""
        if self._until is not None and time.monotonic() >= self._until:
            self.should_exit = True
        return await super().on_tick(counter)

    @property
    def draining(self) -> bool:
        """Whether it is about to stop."""
        return self._until is not None
