"""ClickHouse access from asyncio: runs blocking queries in threads, each with its own client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from schemas.clickhouse.client import connect
from schemas.settings import Settings

T = TypeVar("T")


class ClickHousePool:
    """Runs at most ``clients`` queries at once. Clients are created on first use. ``settings_of_queries``: of
    ClickHouse, such as bounds."""

    def __init__(self, settings: Settings, clients: int, settings_of_queries: Mapping[str, Any] | None = None) -> None:
        self._settings = settings
        self._settings_of_queries = settings_of_queries
        self._threads = ThreadPoolExecutor(clients, thread_name_prefix="clickhouse")
        self._local = threading.local()

    async def ask(self, question: Callable[[Any], T]) -> T:
        """Call ``question(client)`` in a thread; returns or raises what it does."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_client, question)

    def stop(self) -> None:
        """Cancel calls that have not started, without waiting for those that run."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _with_client(self, question: Callable[[Any], T]) -> T:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = connect(self._settings, settings_of_queries=self._settings_of_queries)
        return question(client)
