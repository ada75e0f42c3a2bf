"""What a stream of history costs its key: every line, blank ones too, and every byte, as sent or as expanded; while the
key owes, the stream waits, and other requests run."""

from __future__ import annotations

import asyncio
import gzip
import json
from types import SimpleNamespace
from typing import Any

from ingest.history import stream as module
from ingest.history.stream import HistoryStream
from ingest.history.stream_limits import StreamLimits

PIECE = 64 * 1024


class Key:
    """A guard with one key: what it spent, and how often it was asked to pause; it owes once ``allowed`` is spent."""

    def __init__(self, allowed: int = 10**12) -> None:
        self.size = self.events = self.pauses = 0
        self._allowed = allowed

    def spend(self, access: Any, *, size: int = 0, events: int = 0) -> None:
        self.size, self.events = self.size + size, self.events + events

    def pause(self, access: Any) -> float:
        self.pauses += 1
        owes = self.size + self.events > self._allowed
        self._allowed += self._allowed if owes else 0
        return 0.001 if owes else 0.0

    def still(self, request: Any) -> None: ...


def streamed(key: Key, body: bytes, encoding: str = "") -> tuple[dict[str, Any], int]:
    """The summary, and how many turns another task had meanwhile."""
    guard: Any = key
    request: Any = SimpleNamespace(state=SimpleNamespace(access=None))
    events: Any = None  # there is no line to judge
    response = HistoryStream(events, StreamLimits(guard, request), "n", encoding, lambda: 0, lambda: False)
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[bytes] = []
    turns = 0

    async def run() -> None:
        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))

        async def beside() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(beside())
        await response({"type": "http"}, receive, send)
        other.cancel()

    asyncio.run(run())
    return json.loads(b"".join(sent).splitlines()[-1]), turns


def test_blank_lines_are_counted_as_lines_and_others_run_between_pieces_of_them() -> None:
    key = Key()
    body = gzip.compress(b"\n" * (20 * PIECE))
    summary, turns = streamed(key, body, "gzip")
    assert (summary["complete"], summary["lines"], summary["accepted"]) == (True, 20 * PIECE, 0)
    assert (key.events, key.size) == (20 * PIECE, 20 * PIECE)
    assert turns >= 20


def test_a_line_without_an_end_waits_for_its_bytes() -> None:
    key = Key(allowed=3 * PIECE)
    summary, _ = streamed(key, b"0" * (20 * PIECE))
    assert summary["lines"] == 1
    assert key.size == 20 * PIECE
    assert key.pauses >= 20


def test_what_is_read_after_the_stream_has_ended_is_counted_too() -> None:
    key: Any = Key()  # stands for a key of the catalog
    chunks = [b"x" * 10, None, b"y" * 5]

    async def rest() -> Any:
        for chunk in chunks:
            yield chunk

    request: Any = SimpleNamespace(state=SimpleNamespace(access=None))
    asyncio.run(module.drain(rest(), StreamLimits(key, request).bytes))
    assert key.size == 15
