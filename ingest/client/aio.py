"""The asyncio client; equivalent to the blocking ``Client``."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Self
from uuid import uuid4

import httpx

from ingest.client.checking import MAX_AGE, CheckMemory, CheckResult, OnFailure, check_body, check_url
from ingest.client.client_reservation import AsyncClientReservation
from ingest.client.request_loop import async_answered
from ingest.client.reserving import EXPIRES_IN, Reserving, reservations_url, reserve_request
from ingest.client.sending import BatchResult, Sending, Summary
from ingest.client.sync import headers_of
from ingest.client.voiding import Voiding, VoidTaken
from ingest.client.wire import BATCH_PATH, AttemptAnswer, WireEvent, answer_of, body_of, item_of, lost

Batches = Iterable[Sequence[Mapping[str, Any]]] | AsyncIterable[Sequence[Mapping[str, Any]]]


class AsyncClient:
    """Client for one event loop; close it, or use it as an async context manager. Arguments as for ``Client``."""

    def __init__(
        self,
        url: str,
        key: str,
        namespace: str | None = None,
        *,
        deadline: float | None = 60.0,
        timeout: float = 15.0,
        new_key: Callable[[], str] = lambda: uuid4().hex,
        transport: httpx.AsyncBaseTransport | None = None,
        rating_url: str | None = None,
        check_timeout: float = 1.0,
    ) -> None:
        self._rating_url = rating_url
        self._check_timeout = check_timeout
        self._checks = CheckMemory()
        self._deadline = deadline
        self._new_key = new_key
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers=headers_of(key, namespace),
            timeout=timeout,
            transport=transport,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, events: Sequence[Mapping[str, Any]]) -> BatchResult:
        """Send 1 to 100 events, all or none. Raises Refusal (nothing was accepted) or GatewayUnavailable."""
        result = await self.deliver([item_of(event, self._new_key) for event in events])
        if result.refusal is not None:
            raise result.refusal
        return result

    async def send_batches(
        self, batches: Batches, *, concurrency: int = 4, on_result: Callable[[BatchResult], None] | None = None
    ) -> Summary:
        """Send many batches, ``concurrency`` at a time. ``batches`` may be an async iterable; otherwise as
        ``Client.send_batches``."""
        summary = Summary()
        started = time.monotonic()
        pending: deque[asyncio.Task[BatchResult]] = deque()

        async def take() -> None:
            result = await pending.popleft()
            if result.refusal is not None and result.refusal.of_sender:
                raise result.refusal
            summary.add(result)
            if on_result is not None:
                on_result(result)

        number = 0
        try:
            async for events in _each(batches):
                items = [item_of(event, self._new_key) for event in events]
                pending.append(asyncio.create_task(self.deliver(items, number)))
                number += 1
                if len(pending) >= concurrency:
                    await take()
            while pending:
                await take()
        finally:
            for task in pending:
                task.cancel()
        summary.seconds = time.monotonic() - started
        return summary

    async def deliver(self, items: Sequence[WireEvent], number: int = 0) -> BatchResult:
        """Send one batch, retrying until the response is final. Raises GatewayUnavailable."""
        sending = Sending(number, items, str(self._http.base_url), self._deadline, time.monotonic())
        body = body_of(items)
        while True:
            step = sending.take(await self._attempt(BATCH_PATH, body), time.monotonic(), random.random())
            if isinstance(step, BatchResult):
                return step
            await asyncio.sleep(step)

    async def void(self, idempotency_key: str, reason: str, source: str = "") -> VoidTaken:
        """Void an accepted event, as ``Client.void``."""
        voiding = Voiding(idempotency_key, reason, source, str(self._http.base_url), self._deadline, time.monotonic())
        return await async_answered(voiding, self._attempt)

    async def check(
        self,
        account_id: str,
        feature: str,
        *,
        quantity: Decimal | None = None,
        on_failure: OnFailure,
        max_age: float = MAX_AGE,
    ) -> CheckResult:
        """Whether an account may use a feature now, as ``Client.check``."""
        question = account_id, feature, quantity
        result = self._checks.known(question, max_age, on_failure, time.monotonic())
        if result is not None:
            return result
        answer = await self._attempt(check_url(self._rating_url), check_body(question), self._check_timeout)
        return self._checks.take(question, answer, on_failure, time.monotonic())

    async def reserve(
        self,
        account_id: str,
        feature: str,
        quantity: Decimal | int,
        *,
        expires_in: int = EXPIRES_IN,
        idempotency_key: str | None = None,
    ) -> AsyncClientReservation:
        """Set ``quantity`` of a feature apart, as ``Client.reserve``: ``async with await client.reserve(…)``."""
        url = reservations_url(self._rating_url, account_id, feature)
        body = reserve_request(quantity, expires_in, idempotency_key or self._new_key())
        document = await async_answered(Reserving(url, body, self._deadline, time.monotonic()), self._attempt)
        return AsyncClientReservation(document, url, self._new_key(), self._attempt, self._deadline)

    async def _attempt(self, path: str, body: bytes, seconds: float | None = None) -> AttemptAnswer:
        timeout = self._http.timeout if seconds is None else seconds
        try:
            response = await self._http.post(path, content=body, timeout=timeout)
        except httpx.TransportError as error:
            return lost(error)
        return answer_of(response.status_code, response.headers, response.content)


async def _each(batches: Batches) -> AsyncIterable[Sequence[Mapping[str, Any]]]:
    if isinstance(batches, AsyncIterable):
        async for batch in batches:
            yield batch
    else:
        for batch in batches:
            yield batch
