"""A request whose body and answer pass at once, instead of by ASGI's messages: small requests are most of what a
gateway has, and each message costs it more than the bytes in it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

EXCHANGE: Final = "exchange"
"""In a request's state: its Exchange, where the server is ours."""
ANSWERED: Final = "answered"
"""In a request's scope: the status of an answer that went by its Exchange, for those who count answers."""
_PLAIN: Final = 2  # the fields of an answer that says no more than its length and its media type


class Exchange:
    """One request of a connection, as the server has it. What it cannot do at once goes by ASGI."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def body(self) -> bytes | None:
        """The whole body, where all of it has come and nothing of it was received before; else None."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.response_complete or cycle.waiting_for_100_continue:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        cycle.flow.resume_reading()
        return body

    def answer(self, response: Response) -> bool:
        """Send the whole answer, in one piece. False: not sent, since it is no plain one, or cannot be sent now."""
        cycle = self._cycle
        if cycle.disconnected or cycle.response_started or cycle.flow.write_paused or not cycle.keep_alive:
            return False
        if len(response.raw_headers) != _PLAIN or response.background is not None:
            return False
        fields = [STATUS_LINE[response.status_code]]
        for name, value in (*cycle.default_headers, *response.raw_headers):
            if name == b"connection":
                return False
            fields += (name, b": ", value, b"\r\n")
        fields += (b"\r\n", bytes(response.body))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"".join(fields))
        cycle.message_event.set()
        cycle.on_response()
        return True


def exchange_of(scope: Scope) -> Exchange | None:
    """The Exchange of a request, where the server is ours."""
    exchange: Exchange | None = scope.get("state", {}).get(EXCHANGE)
    return exchange
