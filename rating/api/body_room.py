"""Room for large request bodies that are under way: memory is reserved before a body is read, by tenants and their
keys, and a body without a valid key is not read at all."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from rating.api.rating_problems import of_busy, of_denial
from schemas.http.api_keys import Denied, Keyring
from schemas.http.shares import Busy, SharePlan, Shares

SMALL_BYTES: Final = 16 * 1024
"""Bodies up to this size need no room: for all possible connections they are some MB."""
_WAITING: Final = 1_000
_ROOM_SECONDS: Final = 10.0


class BodyRoom:
    """An application before which large bodies wait for room. ``room``: bytes in all, a quarter of it for a tenant,
    an eighth for a key; ``limit``: the largest body, reserved where a body's size is not announced."""

    def __init__(self, app: ASGIApp, keys: Keyring, room: int, limit: int) -> None:
        self._app = app
        self._keys = keys
        self._limit = limit
        self._shares = Shares(SharePlan(room, room // 4, room // 8, _WAITING, _ROOM_SECONDS), "bodies")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        size = 0 if scope["type"] != "http" else self._announced(dict(scope["headers"]))
        if size <= SMALL_BYTES:
            await self._app(scope, receive, send)
            return
        authorization = dict(scope["headers"]).get(b"authorization")
        try:
            access = self._keys.access(authorization and authorization.decode("latin-1"), time.time_ns() // 1000)
        except Denied as denied:
            await of_denial(denied).response()(scope, receive, send)
            return
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._shares.turn(access.namespace or "", access.key_id, size))
            except Busy as busy:
                await of_busy(busy).response()(scope, receive, send)
                return
            await self._app(scope, receive, send)

    def _announced(self, headers: dict[bytes, bytes]) -> int:
        length = headers.get(b"content-length")
        if length is None:
            return self._limit if b"transfer-encoding" in headers else 0
        return min(int(length[:19]), self._limit) if length.isdigit() else self._limit
