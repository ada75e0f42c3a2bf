"""A stream of history is counted against the rate limits of its key, which slow its sender down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

from ingest.history.chunks import Ended
from ingest.http.auth import Guard
from ingest.http.gateway_problems import Problem
from schemas.http.api_keys import Access

_PAUSE_SECONDS: Final = 0.25


class StreamLimits:
    """Counts a stream against its key's rate limits. Beyond the limits the sender is slowed down, not refused."""

    def __init__(self, guard: Guard, request: Request) -> None:
        self._guard = guard
        self._request = request
        self._access: Access = request.state.access
        self._sent = 0
        self._plain = 0
        self._lines = 0

    def bytes(self, sent: int, plain: int) -> None:
        """Count received and decompressed bytes; the larger total counts."""
        counted = max(self._sent, self._plain)
        self._sent, self._plain = self._sent + sent, self._plain + plain
        self._guard.spend(self._access, size=max(self._sent, self._plain) - counted)

    async def lines(self, number: int, stopping: Callable[[], bool]) -> None:
        """Count the lines up to ``number``, blank ones too, as events; let other requests run, and wait until the key
        may send more. Raises Ended if the key was revoked or has expired meanwhile."""
        self._guard.spend(self._access, events=number - self._lines)
        self._lines = number
        await asyncio.sleep(0)
        while (seconds := self._guard.pause(self._access)) > 0 and not stopping():  # noqa: ASYNC110
            await asyncio.sleep(min(seconds, _PAUSE_SECONDS))
        try:
            self._guard.still(self._request)
        except Problem as problem:
            raise Ended(problem.detail) from None
