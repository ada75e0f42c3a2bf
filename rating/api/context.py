"""What the routes share: settings, the catalog and the checkpoints as they are now, and a small pool of ClickHouse clients."""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Header, Request

from rating.api.problems import Problem, missing
from rating.explain import Ledgers
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import NamespaceView
from schemas.checkpoints import Checkpoints
from schemas.clickhouse import connect
from schemas.ledger_io import Follower, LogRecord
from schemas.settings import Settings
from schemas.topics import CHECKPOINTS

_CLIENTS: Final = 8
_FRESH_SECONDS: Final = 10.0

T = TypeVar("T")


class Rating:
    """One per process. ``start`` reads both ledgers to their ends; ``stop`` ends their threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.checkpoints = Checkpoints()
        self._catalog = CatalogFollower(settings)
        self._checkpoints_follower = Follower(settings, CHECKPOINTS, self._apply)
        self._pool = ThreadPoolExecutor(_CLIENTS, thread_name_prefix="clickhouse")
        self._local = threading.local()

    def _apply(self, record: LogRecord) -> None:
        self.checkpoints.apply_bytes(record.value)

    def start(self) -> None:
        """Raises LedgerUnavailable."""
        self._catalog.start()
        self._checkpoints_follower.start()

    def stop(self) -> None:
        """End the threads."""
        self._catalog.stop()
        self._checkpoints_follower.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def ask(self, question: Callable[[Any], T]) -> T:
        """Run ``question(client)``, which blocks, in a thread of the pool that owns a client."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._with_client, question)

    def _with_client(self, question: Callable[[Any], T]) -> T:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = connect(self.settings)
        return question(client)

    def namespaces(self) -> list[str]:
        """All declared namespaces."""
        return self._catalog.catalog.namespaces()

    def view(self, namespace: str | None) -> NamespaceView:
        """The catalog of a namespace (None: the settings') as of now. Raises Problem (404)."""
        name = namespace or self.settings.namespace
        view = self._catalog.catalog.view(name)
        if not view.known:
            raise missing(f"there is no namespace {name[:64]!r}; known: {', '.join(self.namespaces())}")
        return view

    @property
    def ledgers(self) -> Ledgers:
        """Catalog and checkpoints as far as they have been read."""
        return Ledgers(self._catalog.catalog, self.checkpoints)

    def unready(self) -> str | None:
        """Why this process cannot answer for the present, None where it can."""
        if not self._catalog.fresh(_FRESH_SECONDS):
            return "the catalog is not up to date: Kafka does not answer"
        if not self._checkpoints_follower.fresh(_FRESH_SECONDS):
            return "the checkpoints are not up to date: Kafka does not answer"
        return None

    def key_is(self, key: str) -> bool:
        """Whether ``key`` is the admin key, in constant time."""
        return hmac.compare_digest(key.encode(), self.settings.admin_key.get_secret_value().encode())

    @staticmethod
    def now() -> datetime:
        """The shell's clock."""
        return datetime.now(UTC)


def rating_of(request: Request) -> Rating:
    """The process's Rating."""
    rating: Rating = request.app.state.rating
    return rating


def authorized(request: Request, authorization: Annotated[str, Header()] = "") -> Rating:
    """The process's Rating, for a request that carries the admin key. Raises Problem (401)."""
    rating = rating_of(request)
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not rating.key_is(key.strip()):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "send the admin key (WEIR_ADMIN_KEY of the service) as `Authorization: Bearer <key>`",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return rating


Authorized = Annotated[Rating, Depends(authorized)]


def _view(rating: Authorized, weir_namespace: Annotated[str | None, Header()] = None) -> NamespaceView:
    return rating.view(weir_namespace)


View = Annotated[NamespaceView, Depends(_view)]
"""The catalog of the namespace in the header ``Weir-Namespace``."""
