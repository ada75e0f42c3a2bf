"""What the routes of keys and of users share: who calls, and how their work is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from ingest.catalog.catalog_problems import Caller
from ingest.catalog.catalog_publisher import CatalogPublisher
from ingest.catalog.catalog_service import CatalogService
from ingest.catalog.fair_pool import KEYS, FairPool
from ingest.catalog.just_published import with_just_published
from ingest.http.auth import Guard
from ingest.http.loop_throttle import LoopThrottle
from ingest.sources import Sources
from schemas.catalog.follower import CatalogFollower
from schemas.http.api_keys import Access

T = TypeVar("T")


class AccessApi:
    """Changes of who may do what in a namespace; ``changes``: what they are called where there are too many."""

    changes: str

    def __init__(
        self,
        guard: Guard,
        catalog: CatalogFollower,
        publisher: CatalogPublisher,
        sources: Sources,
        throttle: LoopThrottle,
    ) -> None:
        self._guard = guard
        self._catalog = catalog
        self._service = CatalogService(catalog, publisher, throttle.tick)
        self._sources = sources
        self._pool = FairPool(KEYS, self.changes, throttle)

    def stop(self) -> None:
        """Start no further work."""
        self._pool.stop()

    def _caller(self, request: Request) -> Caller:
        access: Access = request.state.access
        return Caller(self._guard.namespace(request, access), access)

    async def _run(self, caller: Caller, work: Callable[[], T]) -> T:
        """In a worker thread; once more where another gateway has just published what it did not find."""
        return await with_just_published(self._catalog, lambda: self._pool.run(caller, work))
