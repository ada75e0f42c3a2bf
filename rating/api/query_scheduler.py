"""Schedules the ClickHouse queries of many tenants: each has its share of the places, and a query is ended when it
takes too long, needs too much memory, or its client has left."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from rating.api.rating_problems import RatingProblem, of_busy
from schemas.clickhouse.client import connect
from schemas.http.shares import Busy, SharePlan, Shares
from schemas.settings import Settings

T = TypeVar("T")
GoOn = Callable[[], None]
"""Called between two steps of a long question: raises QueryStopped where it is to end."""

LIGHT: Final = SharePlan(places=8, each=4, each_key=3, waiting=100, seconds=15.0)
HEAVY: Final = SharePlan(places=2, each=1, each_key=1, waiting=8, seconds=60.0)
_LOOK_SECONDS: Final = 0.5
_TIMEOUT_EXCEEDED: Final = "Code: 159"
_MEMORY_LIMIT_EXCEEDED: Final = "Code: 241"
_CANCELLED: Final = "Code: 394"


def interruptible(items: Iterable[T], go_on: GoOn) -> Iterator[T]:
    """The items, one after another, as long as ``go_on`` does not raise."""
    for item in items:
        go_on()
        yield item


class QueryStopped(Exception):
    """A query was ended: its time is over, or its client has left."""


@dataclass(frozen=True, slots=True)
class QueryTenant:
    """The namespace and the key whose share of the places a query takes. ``gone``: tells whether the client has left;
    None for a change, which is carried through."""

    tenant: str = ""
    key: str = ""
    gone: Callable[[], Awaitable[bool]] | None = None


NOBODY: Final = QueryTenant()


class _Lane:
    """Places for questions of one kind, each a thread with a ClickHouse client."""

    def __init__(self, settings: Settings, plan: SharePlan, what: str, seconds: int) -> None:
        self.seconds = seconds
        self.memory = settings.rating_query_bytes
        self._settings = settings
        self._shares = Shares(plan, what)
        self._threads = ThreadPoolExecutor(plan.places, thread_name_prefix=what)
        self._local = threading.local()

    async def ask(self, question: Callable[[Client, GoOn], T], asker: QueryTenant, kill: Callable[[str], None]) -> T:
        """``question`` in a thread of a free place; ``kill`` ends what ClickHouse works at under a name. Raises Busy,
        QueryStopped, and what the question raises."""
        async with self._shares.turn(asker.tenant, asker.key):
            stop = threading.Event()
            names: list[str] = []
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(self._threads, self._with_client, question, stop, names)
            deadline = loop.time() + self.seconds
            try:
                while not work.done() and not stop.is_set():
                    await asyncio.wait({work}, timeout=_LOOK_SECONDS)
                    if loop.time() > deadline or (not work.done() and asker.gone is not None and await asker.gone()):
                        stop.set()
            except asyncio.CancelledError:
                stop.set()
                raise
            finally:
                if stop.is_set():
                    await self._end(work, names, kill)
            return await work

    async def _end(self, work: asyncio.Future[Any], names: list[str], kill: Callable[[str], None]) -> None:
        """Cancel what ClickHouse works at for the question, again and again, until its thread has let go of the
        place."""
        while not work.done():
            if names:
                with suppress(ClickHouseError):
                    await asyncio.to_thread(kill, names[0])
            await asyncio.wait({work}, timeout=_LOOK_SECONDS)

    def _with_client(self, question: Callable[[Client, GoOn], T], stop: threading.Event, names: list[str]) -> T:
        if getattr(self._local, "client", None) is None:
            name = f"weir-rating-{uuid.uuid4().hex}"
            bounds = {
                "max_execution_time": self.seconds,
                "max_memory_usage": self.memory,
                # A group that is larger goes to disk: slow rather than refused.
                "max_bytes_before_external_group_by": self.memory // 2,
                "max_bytes_before_external_sort": self.memory // 2,
                "log_comment": name,  # by which it is found to be cancelled
            }
            self._local.client, self._local.name = connect(self._settings, settings_of_queries=bounds), name
        names.append(self._local.name)

        def go_on() -> None:
            if stop.is_set():
                raise QueryStopped

        go_on()
        return question(self._local.client, go_on)

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class QueryScheduler:
    """Two sets of places, so that questions of many seconds never keep those of milliseconds waiting."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._light = _Lane(settings, LIGHT, "questions", settings.rating_question_seconds)
        self._heavy = _Lane(settings, HEAVY, "long-questions", settings.rating_long_question_seconds)
        self._local = threading.local()

    async def ask(self, question: Callable[[Client], T], asker: QueryTenant) -> T:
        """``question(client)``, which blocks, in a thread. Raises what it raises; Problem: 429 where this key has
        enough in line, 503 where no place became free or the time is over, 422 where it needs more memory than one
        may."""
        return await self._ask_in(self._light, lambda client, _go_on: question(client), asker)

    async def ask_long(self, question: Callable[[Client, GoOn], T], asker: QueryTenant) -> T:
        """The same for work of many seconds, of which a tenant may have one at a time. ``question`` calls its second
        argument between steps."""
        return await self._ask_in(self._heavy, question, asker)

    async def _ask_in(self, lane: _Lane, question: Callable[[Client, GoOn], T], asker: QueryTenant) -> T:
        try:
            return await lane.ask(question, asker, self._kill)
        except Busy as busy:
            raise of_busy(busy) from None
        except QueryStopped:
            raise _too_long(lane.seconds) from None
        except ClickHouseError as error:
            text = str(error)
            if _TIMEOUT_EXCEEDED in text or _CANCELLED in text:
                raise _too_long(lane.seconds) from None
            if _MEMORY_LIMIT_EXCEEDED in text:
                detail = (
                    f"this needs more than {lane.memory} bytes of memory; ask for a shorter time, fewer groups, or one"
                    " account (the operator: WEIR_RATING_QUERY_BYTES)"
                )
                raise RatingProblem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None
            raise

    def _kill(self, name: str) -> None:
        if getattr(self._local, "client", None) is None:
            self._local.client = connect(self._settings)
        sql = "KILL QUERY WHERE Settings['log_comment'] = {name:String} ASYNC"
        self._local.client.query(sql, parameters={"name": name})

    def stop(self) -> None:
        """Without waiting: what has not begun is cancelled, what is under way ends by itself."""
        self._light.stop()
        self._heavy.stop()


def _too_long(seconds: int) -> RatingProblem:
    detail = f"this took longer than {seconds} s and was ended; ask for a shorter time, coarser groups, or one account"
    return RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "10"})
