"""Sessions that were ended by logging out, in this process: their cookies open nothing, whoever has kept one."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

MOST: Final = 100_000
"""Ended sessions that are remembered; then the one that ended first is forgotten."""


class EndedSessions:
    """Cookies by digest; none is kept itself."""

    def __init__(self) -> None:
        self._ended: dict[bytes, None] = {}

    def end(self, cookie: str) -> None:
        """Let the cookie open nothing any more."""
        self._ended[_digest(cookie)] = None
        if len(self._ended) > MOST:
            del self._ended[next(iter(self._ended))]

    def has(self, cookie: str) -> bool:
        """Whether its session was ended."""
        return _digest(cookie) in self._ended


def _digest(cookie: str) -> bytes:
    return sha256(cookie.encode("utf-8", "replace")).digest()
