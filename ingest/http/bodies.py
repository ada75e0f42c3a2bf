"""Reads request bodies, limited in time and in size before and after decompression."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

from ingest.http.decompression import ENCODINGS, PIECE, BrokenBody, Inflater
from ingest.http.gateway_problems import Problem
from schemas.http.connections import REST
from schemas.http.exchange import exchange_of
from schemas.http.serving import BODY_PAUSE_SECONDS, BODY_SECONDS

MAX_BODY: Final = 8 * 1024 * 1024
MAX_MEMBERS: Final = 64


class BadBody(Problem):
    """A body that cannot be read; ``sample``: some of its bytes."""

    def __init__(self, status: int, reason: str, detail: str, sample: bytes, *, close: bool = False) -> None:
        super().__init__(status, reason, detail, headers={"Connection": "close"} if close else None, path="$")
        self.sample = sample


Received = Callable[[int], None]
"""Called with the number of bytes received, and with the number that decompression adds."""


def field(request: Request, name: bytes) -> str | None:
    """The first header field of this name (in lower case), or None. ``request.headers`` raises and catches an exception
    for each that is missing."""
    for known, value in request.scope["headers"]:
        if known == name:
            return str(value, "latin-1")
    return None


def announced(request: Request) -> int | None:
    """Size of the body in bytes according to its headers; None if unknown, or if the body is compressed."""
    length = field(request, b"content-length")
    if length is None:
        return None if field(request, b"transfer-encoding") is not None else 0
    if not length.isdecimal() or field(request, b"content-encoding") is not None:
        return None
    return int(length[:18])


async def read_body(request: Request, limit: int = MAX_BODY, received: Received = lambda _size: None) -> bytes:
    """The decompressed body. Raises BadBody: 408 if it arrives too slowly, 413 above ``limit`` bytes, 415 for an
    unknown encoding, 400 for corrupt gzip or zstd."""
    exchange = exchange_of(request.scope)
    body = None if exchange is None else exchange.body()
    if body is None:
        body = await _received(request, limit, received)
    else:
        received(len(body))
        if len(body) > limit:
            raise _refused_rest(request, limit, received, body)
    encoding = field(request, b"content-encoding")
    if encoding is None or encoding.lower() == "identity":
        return body
    if encoding.lower() not in ENCODINGS:
        detail = f"Content-Encoding {encoding[:40]!r} is not understood; send gzip or zstd, or the body as it is"
        raise BadBody(415, "encoding", detail, body)
    return inflated(encoding.lower(), body, limit, received)


async def _received(request: Request, limit: int, received: Received) -> bytes:
    """The body as it is sent, message after message."""
    chunks: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    end = loop.time() + BODY_SECONDS
    try:
        async with asyncio.timeout(BODY_PAUSE_SECONDS) as bound:
            expected = True
            # Not ``request.stream``: most bodies are one message, and its generator would cost as much as reading them.
            while expected:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise BadBody(400, "malformed", "the connection ended before the body did", b"".join(chunks))
                chunk, expected = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                received(len(chunk))
                if size > limit:
                    raise _refused_rest(request, limit, received, chunks[0] if chunks else chunk)
                chunks.append(chunk)
                if expected:
                    bound.reschedule(min(loop.time() + BODY_PAUSE_SECONDS, end))
    except TimeoutError:
        late = f"the body did not come within {BODY_SECONDS:g} s, or paused for {BODY_PAUSE_SECONDS:g} s"
        raise BadBody(408, "slow_request", f"{late}; send it faster", b"".join(chunks), close=True) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _refused_rest(request: Request, limit: int, received: Received, sample: bytes) -> BadBody:
    request.scope.setdefault("state", {})[REST] = received
    return _too_large(limit, sample)


def inflated(encoding: str, body: bytes, limit: int, received: Received = lambda _size: None) -> bytes:
    """Decompress a body in one of ENCODINGS to at most ``limit`` bytes. ``received`` is called with the number of
    bytes added, also for a corrupt body. Raises BadBody."""
    inflater = Inflater(encoding, MAX_MEMBERS)
    plain = bytearray()
    try:
        for start in range(0, len(body), PIECE):
            for piece in inflater.feed(body[start : start + PIECE]):
                plain += piece
                if len(plain) > limit:
                    raise _too_large(limit, bytes(plain[: limit + 1]))
        inflater.finish()
    except BrokenBody as error:
        raise BadBody(400, "malformed", f"{error}; compress and send it whole", body) from None
    finally:
        received(max(0, len(plain) - len(body)))
    return bytes(plain)


def _too_large(limit: int, sample: bytes) -> BadBody:
    return BadBody(413, "body_too_large", f"the body is larger than {limit} bytes; send fewer events at once", sample)
