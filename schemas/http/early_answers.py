"""Answers that a connection gives by itself as soon as a request's head was read: what a service that is asked for too
much refuses costs it a fraction of a request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from schemas.http.connections import CLOSING, BoundedProtocol, Headers, connections_within_limits, to_bytes

EARLY: Final = "early"  # in a request's state: what ``Early`` gave for the application
EARLY_BODY: Final = 16 * 1024
PAUSE_FOR_EACH: Final = 60e-6
MOST_PAUSE: Final = 0.5


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class EarlyAnswer:
    """``response`` instead of the application's."""

    response: Response
    again: Callable[[], bool] = _never
    """Whether a request with the very same head is now to be answered so, too."""


Early = Callable[[bytes, Headers], object]
"""Asked of each POST with a small body as soon as its head is read, for (target, headers): an EarlyAnswer is given
instead of the application's answer; anything else is kept for the application, in the request's state."""


class AnsweringProtocol(BoundedProtocol):
    """A bounded connection that asks ``early``.

    A connection whose requests are answered early twice or more in a row is read again after a pause, which grows with
    the number of connections: were all of them clients that send again at once, their refusals would still leave the
    loop time for others. A refused request whose head is, byte by byte, the one that was refused before it on its
    connection is not parsed.
    """

    early: Early
    rendered: tuple[Headers, Response | None, bytes] = ((), None, b"")
    """The last answer as it is sent, with the headers that uvicorn renews each second."""
    pause_for_each = PAUSE_FOR_EACH
    most_pause = MOST_PAUSE

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._row = 0  # early answers in a row
        self._answered = False  # the request whose body is being read was answered when its head was
        self._answer = EarlyAnswer(Response())
        self._body_length = 0  # of the request that was answered early
        self._refused_head = b""
        self._refused_length = -1  # of that head with its body

    def data_received(self, data: bytes) -> None:
        """See uvicorn."""
        if len(data) == self._refused_length and data.startswith(self._refused_head) and self._answer_again():
            return
        row, begins = self._row, self.idle
        super().data_received(data)
        if self._answered and self._head_timer is None:
            self._await_head()  # the rest of a body that nobody reads has no more time than a head
        if self._row > row:
            end = data.find(b"\r\n\r\n") + 4
            if begins and self.idle and end + self._body_length == len(data):  # all of one request, and nothing else
                self._refused_head, self._refused_length = data[:end], len(data)

    def _answer_again(self) -> bool:
        if not self.idle or CLOSING in self.server_state.default_headers or self.flow.write_paused:
            return False  # a client that does not read its answers gets no more of them
        if not self._answer.again():
            return False
        self._idle_since = self.loop.time()
        self._give()
        self._pause()
        return True

    def timeout_keep_alive_handler(self) -> None:
        """See uvicorn. An answer to a head that was known does not set the timer anew: that is done here."""
        remaining = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if remaining > 0.001:
            self.timeout_keep_alive_task = self.loop.call_later(remaining, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def head_is_complete(self) -> None:
        """The request is answered at once, or goes to the application."""
        if self.parser.get_method() != b"POST" or not self._answer_early():
            super().head_is_complete()

    def _answer_early(self) -> bool:
        if (self.cycle is not None and not self.cycle.response_complete) or self.pipeline:
            return False  # answers keep the order of their requests
        if (
            self.expect_100_continue
            # A client of HTTP/1.0 that keeps its connection has to be told so, by the application's answer.
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
            or CLOSING in self.server_state.default_headers
            or self.flow.write_paused
        ):
            return False
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        if not length.isdigit() or len(length) > 5 or int(length) > EARLY_BODY:
            return False
        answer = self.early(self.url, self.headers)
        if not isinstance(answer, EarlyAnswer):
            self.scope["state"][EARLY] = answer
            self._row = 0
            return False
        self._answer, self._answered, self._body_length = answer, True, int(length)
        self._refused_length = -1  # the head that is remembered may have had another answer
        self._give()
        return True

    def _give(self) -> None:
        self._row += 1
        shared, headers, response = type(self), self.server_state.default_headers, self._answer.response
        if shared.rendered[0] is not headers or shared.rendered[1] is not response:
            shared.rendered = headers, response, to_bytes(response, headers)
        self.transport.write(shared.rendered[2])

    def on_body(self, body: bytes) -> None:
        """See uvicorn. The body of a request that was answered is read and thrown away."""
        if not self._answered:
            super().on_body(body)

    def body_is_complete(self) -> None:
        """See BoundedProtocol."""
        if not self._answered:
            super().body_is_complete()
            return
        self._answered = False
        self._forget_timer()
        self.on_response_complete()
        self._pause()

    def _pause(self) -> None:
        if self._row > 1:
            self.flow.pause_reading()
            seconds = min(self.most_pause, len(self.connections) * self.pause_for_each)
            self.loop.call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()


def answering_protocol(early: Early, wished_connections: int) -> type[AnsweringProtocol]:
    """AnsweringProtocol that asks ``early``; see ``connections_within_limits``."""
    most = connections_within_limits(wished_connections)
    return type("Protocol", (AnsweringProtocol,), {"most_connections": most, "early": staticmethod(early)})
