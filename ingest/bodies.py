"""Request bodies: read whole, bounded in size before and after decompression, and in time."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from backports import zstd
from starlette.requests import ClientDisconnect, Request

from ingest.problems import Problem

MAX_BODY: Final = 8 * 1024 * 1024
PAUSE_SECONDS: Final = 10.0
BODY_SECONDS: Final = 60.0
MAX_MEMBERS: Final = 64  # of one body: each costs a copy of what comes after it
_ZSTD_OPTIONS: Final[dict[int, int]] = {
    zstd.DecompressionParameter.window_log_max: 23
}  # 8 MiB of memory, as RFC 9659 asks for


class BadBody(Problem):
    """A body that cannot be read; ``sample`` holds bytes of it."""

    def __init__(self, status: int, reason: str, detail: str, sample: bytes, *, close: bool = False) -> None:
        super().__init__(status, reason, detail, headers={"Connection": "close"} if close else None, path="$")
        self.sample = sample


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The body, decompressed. Raises BadBody: 408 where it stops coming, 413 over ``limit`` bytes, 415 unknown encoding,
    400 broken gzip or zstd."""
    chunks: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    end = loop.time() + BODY_SECONDS
    try:
        async with asyncio.timeout(PAUSE_SECONDS) as bound:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit, chunks[0] if chunks else chunk)
                chunks.append(chunk)
                bound.reschedule(min(loop.time() + PAUSE_SECONDS, end))
    except ClientDisconnect:
        raise BadBody(400, "malformed", "the connection ended before the body did", b"".join(chunks)) from None
    except TimeoutError:
        detail = f"the body did not come within {BODY_SECONDS:g} s, or paused for {PAUSE_SECONDS:g} s; send it faster"
        raise BadBody(408, "slow_request", detail, b"".join(chunks), close=True) from None
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    encoding = request.headers.get("content-encoding")
    if encoding is None or encoding.lower() == "identity":
        return body
    if encoding.lower() in ("gzip", "x-gzip"):
        return gunzip(body, limit)
    if encoding.lower() == "zstd":
        return unzstd(body, limit)
    detail = f"Content-Encoding {encoding[:40]!r} is not understood; send gzip or zstd, or the body as it is"
    raise BadBody(415, "encoding", detail, body)


def gunzip(body: bytes, limit: int) -> bytes:
    """Decompress one or more gzip members to at most ``limit`` bytes. Raises BadBody."""
    plain = bytearray()
    rest = body
    for _ in range(MAX_MEMBERS):
        if not rest:
            break
        member = zlib.decompressobj(wbits=31)
        try:
            plain += member.decompress(rest, limit + 1 - len(plain))
        except zlib.error as error:
            raise BadBody(400, "malformed", f"the body is not gzip: {error}", body) from None
        if len(plain) > limit:
            raise _too_large(limit, bytes(plain))
        if not member.eof:
            raise BadBody(400, "malformed", "the gzip body is cut; send it whole", body)
        rest = member.unused_data
    return _whole(plain, rest, body)


def unzstd(body: bytes, limit: int) -> bytes:
    """Decompress one or more zstd frames to at most ``limit`` bytes, with a bounded window. Raises BadBody."""
    plain = bytearray()
    rest = body
    for _ in range(MAX_MEMBERS):
        if not rest:
            break
        frame = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
        try:
            plain += frame.decompress(rest, limit + 1 - len(plain))
        except zstd.ZstdError as error:
            raise BadBody(400, "malformed", f"the body is not zstd: {error}", body) from None
        if len(plain) > limit:
            raise _too_large(limit, bytes(plain))
        if not frame.eof:
            raise BadBody(400, "malformed", "the zstd body is cut; send it whole", body)
        rest = frame.unused_data
    return _whole(plain, rest, body)


def _whole(plain: bytearray, rest: bytes, body: bytes) -> bytes:
    if rest:
        raise BadBody(400, "malformed", f"the body is in more than {MAX_MEMBERS} pieces; compress it at once", body)
    return bytes(plain)


def _too_large(limit: int, sample: bytes) -> BadBody:
    return BadBody(413, "body_too_large", f"the body is larger than {limit} bytes; send fewer events at once", sample)
