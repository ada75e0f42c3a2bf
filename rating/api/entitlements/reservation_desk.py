"""Decides requests for reservations, writes what they come to to usage.reservations, and answers once that is read back
(``rating.entitlements.reservations``).

All requests that wait are decided together, in the event loop, and written in one go by a thread of their own: of an
account and feature each next one counts those before it. What lost to another process is decided again on what won.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Final, Protocol

from rating.api.entitlements.followed_book import FollowedBook
from rating.api.rating_problems import RatingProblem, unavailable
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.reservations.reservation_book import LATEST_DECISION_US, ReservationBook
from rating.entitlements.reservations.reservation_requests import (
    ClosingRequest,
    ReservationRefused,
    ReserveRequest,
    Unwritten,
    close,
    reserve,
)
from schemas.ledgers.generations import Offsets
from schemas.ledgers.reservations.reservation_record import Reservation, ReservationRecord
from schemas.ledgers.reservations.valid_reservations import FOLLOWED_US, Standing

log = logging.getLogger(__name__)

_TOGETHER: Final = 50
_ATTEMPTS: Final = 40
_MOST_WAITING: Final = 1_000
"""Requests of a namespace that wait at once."""
_RETRY_SECONDS: Final = 2.0
_NOTED_SECONDS: Final = 60.0


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request, and who waits for what becomes of it."""

    request: ReserveRequest | ClosingRequest
    answer: asyncio.Future[Standing]
    attempts: int = 0

    def fail(self, error: Exception) -> None:
        """Tell who waits, if somebody still does."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()

    def stand(self, standing: Standing) -> None:
        """The same."""
        if not self.answer.done():
            self.answer.set_result(standing)


class ReservationTopic(Protocol):
    """usage.reservations and the ends of usage.events: a ``ReservationLog``."""

    def follow(self, book: FollowedBook, since_us: int) -> None:
        """Let a book have what was appended since; returns at the log's present end."""

    def ends(self) -> Offsets:
        """Of usage.events."""

    def write(self, records: Sequence[ReservationRecord]) -> None:
        """Write, and wait until it is applied."""

    def close(self) -> None:
        """Disconnect."""


class ReservationDesk:
    """The reservations of all namespaces as a process knows them, and its requests; called in one event loop.
    ``progress``: how far ClickHouse has usage.events, all rows below being durable; ``now_us``: the real clock."""

    def __init__(
        self, log: ReservationTopic, progress: Callable[[], Awaitable[Offsets]], now_us: Callable[[], int]
    ) -> None:
        self._log = log
        self._progress = progress
        self._now_us = now_us
        self._lock = threading.Lock()
        self._book = ReservationBook()
        self._begun_us = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reservations")
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._working: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._fault = "usage.reservations is being read"

    def start(self) -> None:
        """Begin to follow; in the event loop."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def ready(self, seconds: float) -> None:
        """Wait until it is, at most so long."""
        try:
            await asyncio.wait_for(self._ready.wait(), seconds)
        except TimeoutError:
            log.warning("reservations are not known yet: %s", self._fault)

    @property
    def unready(self) -> str | None:
        """What stands in the way of reservations; None: nothing does."""
        return None if self._ready.is_set() else self._fault

    async def stop(self) -> None:
        """End what is under way."""
        for task in (self._running, self._working):
            if task is not None:
                task.cancel()
        for of_namespace in self._waiting.values():
            for waiting in of_namespace:
                waiting.fail(unavailable("this process ends"))
        await asyncio.get_running_loop().run_in_executor(self._thread, self._log.close)
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        """Read what was reserved, then forget now and then what is counted, also while nobody checks."""
        while True:
            try:
                if not self._ready.is_set():
                    await self._begin()
                    self._ready.set()
                await asyncio.sleep(_NOTED_SECONDS)
                if self._book.uncounted:
                    at_us = self._now_us()
                    self.note(MeasuredAsOf(await self._progress(), at_us))
            except Exception as error:  # of Kafka or of ClickHouse; the next attempt may do better
                self._fault = f"usage.reservations is not read: {error}"
                log.warning("reservations: %s: %s", type(error).__name__, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _begin(self) -> None:
        since_us = self._now_us() - FOLLOWED_US
        following = FollowedBook(await self._progress(), self._lock)
        begun_us = self._now_us()  # no decision will rest on a cut that was read before it, so on none of less

        await asyncio.get_running_loop().run_in_executor(self._thread, self._log.follow, following, since_us)
        self._book, self._begun_us = following.book, begun_us

    def note(self, as_of: MeasuredAsOf) -> None:
        """A cut was read: what it has will be forgotten."""
        with self._lock:
            self._book.note(as_of.offsets, as_of.at_us, self._now_us())

    def held(self, namespace: str, account_id: str, feature: str, as_of: MeasuredAsOf, now_us: int) -> Decimal:
        """What reservations hold at ``now_us`` of the namespace's clock beside the usage as of a cut. Raises Problem
        (503)."""
        self._check(as_of)
        with self._lock:
            self._book.note(as_of.offsets, as_of.at_us, self._now_us())
            return self._book.held(namespace, account_id, feature, as_of.offsets, now_us)

    def listed(self, namespace: str, account_id: str, feature: str) -> list[Standing]:
        """The reservations of an account and feature that are open, or were closed within the hour; the last one first.
        Raises Problem (503)."""
        self._check(None)
        with self._lock:
            kept = list(self._book.valid.remembered(namespace, account_id, feature))
        return sorted(kept, key=lambda standing: -standing.offset)

    def _check(self, as_of: MeasuredAsOf | None) -> None:
        if not self._ready.is_set():
            raise unavailable(self._fault)
        if as_of is None:
            return
        if as_of.at_us < self._begun_us or as_of.at_us < self._now_us() - LATEST_DECISION_US // 2:
            raise unavailable("what is known of usage is too old to reserve by")

    async def put(self, request: ReserveRequest | ClosingRequest) -> Standing:
        """The reservation once the request stands. Raises ReservationRefused, and Problem (503) where whether it stands
        is not known, 429 where too many wait."""
        self._check(request.as_of if isinstance(request, ReserveRequest) else None)
        of_namespace = self._waiting.setdefault(request.namespace, deque())
        if len(of_namespace) >= _MOST_WAITING:
            raise RatingProblem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{_MOST_WAITING} requests for reservations of {request.namespace} wait already; send them more slowly",
                headers={"Retry-After": "1"},
            )
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        of_namespace.append(waiting)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await waiting.answer

    async def _work(self) -> None:
        """Decide, write and read back, until nobody waits."""
        while self._waiting:
            lot = self._lot()
            try:
                await self._round(lot)
            except Exception as error:  # of Kafka, or of ours: whoever waits is told, and asks again
                log.warning("reservations: %s: %s", type(error).__name__, error)
                unknown = unavailable(f"whether it is reserved is not known ({error}), the same idempotency_key tells")
                for waiting in lot:
                    waiting.fail(unknown)

    def _lot(self) -> list[_Waiting]:
        """What is decided next: of each namespace in turn."""
        lot: list[_Waiting] = []
        while self._waiting and len(lot) < _TOGETHER:
            for name in tuple(self._waiting):
                of_namespace = self._waiting[name]
                waiting = of_namespace.popleft()
                if not of_namespace:
                    del self._waiting[name]
                if not waiting.answer.done():
                    lot.append(waiting)
        return lot

    async def _round(self, lot: Sequence[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        ends: Offsets = {}
        if any(isinstance(waiting.request, ClosingRequest) for waiting in lot):
            ends = await loop.run_in_executor(self._thread, self._log.ends)
        again, records = self._decided(lot, ends)
        if records:
            await loop.run_in_executor(self._thread, self._log.write, records)
        for waiting in again:
            waiting.attempts += 1
            if waiting.attempts > _ATTEMPTS:
                waiting.fail(
                    unavailable(
                        f"{_ATTEMPTS} records in a row lost to other processes, or lie more than a minute from Kafka's"
                        " clock; compare the clocks"
                    )
                )
            elif not waiting.answer.done():
                self._waiting.setdefault(waiting.request.namespace, deque()).append(waiting)

    def _decided(self, lot: Sequence[_Waiting], ends: Offsets) -> tuple[list[_Waiting], list[ReservationRecord]]:
        """Answer what stands or comes to nothing; the others, and their records."""
        again, records, unwritten = list[_Waiting](), list[ReservationRecord](), Unwritten()
        for waiting in lot:
            request, now_us = waiting.request, self._now_us()
            result: Standing | ReservationRecord | None
            try:
                with self._lock:
                    if isinstance(request, ReserveRequest):
                        for as_of in (request.as_of, *request.balances):
                            self._check(as_of)
                        result = reserve(self._book, unwritten, request, now_us, uuid.uuid4().hex)
                    else:
                        result = close(self._book, request, ends, now_us, uuid.uuid4().hex)
            except (ReservationRefused, RatingProblem) as refused:
                waiting.fail(refused)
                continue
            if isinstance(result, Standing):
                waiting.stand(result)
                continue
            again.append(waiting)
            if result is not None:
                records.append(result)
            if isinstance(result, Reservation):
                unwritten.add(result)
        return again, records
