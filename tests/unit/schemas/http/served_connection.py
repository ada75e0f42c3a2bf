"""One connection of a service that answers early, without a socket or a clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from schemas.http.connections import Headers
from schemas.http.early_answers import AnsweringProtocol, EarlyAnswer

EACH = 0.01


@dataclass
class Handle:
    """A call that is due at some time."""

    due: float
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(eq=False)
class Loop:
    """Time stands still until ``advance``; requests that the application would get are counted."""

    now: float = 0.0
    calls: list[Handle] = field(default_factory=list)
    applied: int = 0

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> Handle:
        self.calls.append(handle := Handle(self.now + seconds, call, arguments))
        return handle

    def create_task(self, work: Coroutine[Any, Any, None], **_options: Any) -> Loop:
        work.close()
        self.applied += 1
        return self

    def add_done_callback(self, _call: Callable[..., Any]) -> None:
        """Of a task."""

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [handle for handle in self.calls if handle.due <= self.now]
        self.calls = [handle for handle in self.calls if handle.due > self.now]
        for handle in due:
            if not handle.cancelled:
                handle.call(*handle.arguments)


@dataclass
class Transport:
    """What was written, and whether it is read."""

    written: list[bytes] = field(default_factory=list)
    reading: bool = True
    closed: bool = False

    def get_extra_info(self, _name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Never runs."""


class Served:
    """One connection; ``refuses``: whether requests are refused now."""

    def __init__(self, connections: int = 3) -> None:
        self.refuses = True
        self.heads = 0  # that ``early`` was asked about
        self.loop, self.transport = Loop(), Transport()
        self.state = ServerState()
        kind = type("Kind", (AnsweringProtocol,), {"early": staticmethod(self.early), "pause_for_each": EACH})
        config = uvicorn.Config(application, http=kind, log_config=None, timeout_keep_alive=30)

        def connected(loop: Loop, transport: Transport) -> AnsweringProtocol:
            protocol: AnsweringProtocol = kind(config=config, server_state=self.state, app_state={}, _loop=loop)
            protocol.connection_made(transport)
            return protocol

        for _ in range(connections - 1):
            connected(Loop(), Transport())
        self.protocol = connected(self.loop, self.transport)

    def early(self, _target: bytes, _headers: Headers) -> object:
        self.heads += 1
        return EarlyAnswer(Response(b"shed", 503), lambda: self.refuses) if self.refuses else "taken"

    def send(self, data: bytes) -> int:
        """How many answers came to it at once."""
        before = len(self.transport.written)
        self.protocol.data_received(data)
        return len(self.transport.written) - before


def post(body: bytes, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in ("Host: x", f"Content-Length: {len(body)}", *fields))
    return f"POST /e HTTP/1.1\r\n{lines}\r\n".encode() + body
