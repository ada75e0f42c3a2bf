"""Request bodies: read whole, bounded before and after decompression."""

from __future__ import annotations

import zlib
from typing import Final

from starlette.requests import ClientDisconnect, Request

from ingest.problems import Problem

MAX_BODY: Final = 8 * 1024 * 1024


class BadBody(Problem):
    """A body that cannot be read; ``sample`` holds bytes of it."""

    def __init__(self, status: int, reason: str, detail: str, sample: bytes) -> None:
        super().__init__(status, reason, detail, path="$")
        self.sample = sample


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The body, decompressed. Raises BadBody: 413 over ``limit`` bytes, 415 unknown encoding, 400 broken gzip."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit, chunks[0] if chunks else chunk)
            chunks.append(chunk)
    except ClientDisconnect:
        raise BadBody(400, "malformed", "the connection ended before the body did", b"".join(chunks)) from None
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    encoding = request.headers.get("content-encoding")
    if encoding is None or encoding.lower() == "identity":
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        detail = f"Content-Encoding {encoding[:40]!r} is not understood; send gzip, or the body as it is"
        raise BadBody(415, "encoding", detail, body)
    return gunzip(body, limit)


def gunzip(body: bytes, limit: int) -> bytes:
    """Decompress one or more gzip members to at most ``limit`` bytes. Raises BadBody."""
    plain = bytearray()
    rest = body
    while rest:
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
    return bytes(plain)


def _too_large(limit: int, sample: bytes) -> BadBody:
    return BadBody(413, "body_too_large", f"the body is larger than {limit} bytes; send fewer events at once", sample)
