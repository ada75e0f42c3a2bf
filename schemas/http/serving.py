"""The HTTP server that both services share, and an application whose bodies are bounded. Connections:
``schemas.http.connections``."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.http.connections import CLOSING
from schemas.http.problems import Problem
from schemas.resting_server import RestingServer

log = logging.getLogger(__name__)

BODY_PAUSE_SECONDS: Final = 10.0
BODY_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 0.5
_ACCEPTED_AT_ONCE: Final = 64
_DRAINING_TICK_SECONDS: Final = 0.1


class BoundedBodies:
    """An application whose requests have at most ``limit`` bytes of body, within BODY_SECONDS and without a pause
    beyond BODY_PAUSE_SECONDS.

    For frameworks that read the whole body before anything else. A body that is too large only as it comes, or too
    slow, ends for them as a client that has gone; the client of a slow one is told so (408).
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
        size, expected, slow, begun = 0, True, False, False
        loop = asyncio.get_running_loop()
        end = loop.time() + BODY_SECONDS

        async def bounded() -> Message:
            nonlocal size, expected, slow
            if not expected:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, min(BODY_PAUSE_SECONDS, end - loop.time())))
            except TimeoutError:
                slow, message = not begun, {"type": "http.disconnect"}
            size += len(message.get("body", b""))
            if size > self._limit:
                message = {"type": "http.disconnect"}
            expected = bool(message.get("more_body"))
            return message

        async def answered(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            if not slow:
                await send(message)

        try:
            await self._app(scope, bounded, answered)
        except Exception:
            if not slow:
                raise
        if slow:
            late = f"the body did not come within {BODY_SECONDS:g} s, or paused for {BODY_PAUSE_SECONDS:g} s"
            too_slow = Problem(
                408, "slow_request", f"{late}; send it faster", headers={"Connection": "close"}
            ).response()
            await too_slow(scope, receive, send)


class Server(RestingServer):
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
        self.tick_seconds = _DRAINING_TICK_SECONDS
        self.config.encoded_headers.append(CLOSING)  # of what uvicorn renews each second
        self.server_state.default_headers.append(CLOSING)

    async def on_tick(self, counter: int) -> bool:
        """Asked twice a second, while it drains ten times."""
        if self._until is not None and time.monotonic() >= self._until:
            self.should_exit = True
        return await super().on_tick(counter)

    @property
    def draining(self) -> bool:
        """Whether it is about to stop."""
        return self._until is not None
