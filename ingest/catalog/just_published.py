"""A second look where the catalog lacks what another gateway may have published a moment before.

A gateway's catalog follows its topic by a fraction of a second, so a client that has published at one gateway and goes
on at another would be answered that there is no such thing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from ingest.http.gateway_problems import Problem

_PAUSE_SECONDS: Final = 0.02
_PAUSES: Final = 100
_OF_AN_OLDER_CATALOG: Final = frozenset({404, 412})
"""Statuses of what is not there, or not at the version that the client has read."""

T = TypeVar("T")


class FollowedCatalog(Protocol):
    """The catalog as its follower knows it."""

    def reached(self, moment: float) -> bool:
        """Whether all that was published before ``moment`` (monotonic) is known; if not, it soon will be."""


async def caught_up(catalog: FollowedCatalog, moment: float | None = None) -> None:
    """Return once all that was published before ``moment`` (monotonic; default: now) is known, at the latest after two
    seconds."""
    since = time.monotonic() if moment is None else moment
    for _ in range(_PAUSES):
        if catalog.reached(since):
            return
        await asyncio.sleep(_PAUSE_SECONDS)


async def with_just_published(catalog: FollowedCatalog, look: Callable[[], Awaitable[T]]) -> T:
    """The result of ``look``, which changes nothing where it raises; where that is a Problem 404 or 412 of a catalog
    that is older than this call, the result of a second look."""
    begun_at = time.monotonic()
    try:
        return await look()
    except Problem as problem:
        if problem.status not in _OF_AN_OLDER_CATALOG or catalog.reached(begun_at):
            raise
    await caught_up(catalog, begun_at)
    return await look()
