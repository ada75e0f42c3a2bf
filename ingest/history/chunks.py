"""Reads a request body in chunks while its response is already being sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from starlette.types import Receive

_IDLE_SECONDS: Final = 0.25
_LONGEST_PAUSE: Final = 60.0
_DRAIN_SECONDS: Final = 5.0


class Ended(Exception):
    """The body ended prematurely."""


async def chunks_of(receive: Receive, stopping: Callable[[], bool]) -> AsyncIterator[bytes | None]:
    """The chunks of the body; b"" after a period without data. Raises Ended."""
    pending: asyncio.Future[Any] | None = None
    loop = asyncio.get_running_loop()
    came = loop.time()
    try:
        while True:
            if stopping():
                raise Ended("this gateway is stopping")
            pending = pending or asyncio.ensure_future(_message(receive()))
            done, _ = await asyncio.wait({pending}, timeout=_IDLE_SECONDS)
            if not done:
                asked_at = loop.time()
                yield b""
                came += loop.time() - asked_at  # time spent by the reader does not count as the sender's pause
                if loop.time() - came > _LONGEST_PAUSE:
                    raise Ended(f"nothing came for {_LONGEST_PAUSE:g} s")
                continue
            message, pending = pending.result(), None
            if message["type"] == "http.disconnect":
                raise Ended("the connection ended before the body did")
            if chunk := message.get("body", b""):
                yield chunk
            came = loop.time()
            if not message.get("more_body", False):
                return
    finally:
        if pending is not None:
            pending.cancel()


async def drain(chunks: AsyncIterator[bytes | None], count: Callable[[int, int], None]) -> None:
    """Read and discard the body for a few seconds, since a sender that reads only at the end would not get the
    response otherwise. ``count`` is called with the bytes of each chunk, as sent and (0) as decompressed."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    with contextlib.suppress(Ended):
        async for chunk in chunks:
            count(len(chunk or b""), 0)
            if asyncio.get_running_loop().time() > deadline:
                return


async def _message(receiving: Awaitable[Any]) -> Any:
    return await receiving
