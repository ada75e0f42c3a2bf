"""The blocking client."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Self
from uuid import uuid4

import httpx

from ingest.client.checking import MAX_AGE, CheckMemory, CheckResult, OnFailure, check_body, check_url
from ingest.client.client_reservation import ClientReservation
from ingest.client.request_loop import answered
from ingest.client.reserving import EXPIRES_IN, Reserving, reservations_url, reserve_request
from ingest.client.sending import BatchResult, Sending, Summary
from ingest.client.voiding import Voiding, VoidTaken
from ingest.client.wire import BATCH_PATH, AttemptAnswer, WireEvent, answer_of, body_of, item_of, lost


def headers_of(key: str, namespace: str | None) -> dict[str, str]:
    """Headers of every request."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return headers if namespace is None else headers | {"Weir-Namespace": namespace}


class Client:
    """Thread-safe client; close it, or use it as a context manager.

    ``deadline``: seconds for one batch including retries (after 429, 5xx, and broken or refused connections), None
    for no limit. ``rating_url``: where ``check`` and ``reserve`` ask; ``check_timeout``: seconds that ``check`` waits.
    ``transport``: an httpx transport, for example for a proxy.
    """

    def __init__(
        self,
        url: str,
        key: str,
        namespace: str | None = None,
        *,
        deadline: float | None = 60.0,
        timeout: float = 15.0,
        new_key: Callable[[], str] = lambda: uuid4().hex,
        transport: httpx.BaseTransport | None = None,
        rating_url: str | None = None,
        check_timeout: float = 1.0,
    ) -> None:
        self._rating_url = rating_url
        self._check_timeout = check_timeout
        self._checks = CheckMemory()
        self._deadline = deadline
        self._new_key = new_key
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers=headers_of(key, namespace),
            timeout=timeout,
            transport=transport,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, events: Sequence[Mapping[str, Any]]) -> BatchResult:
        """Send 1 to 100 events, all or none.

        An event is ``{"event_name", "account_id", "properties", "idempotency_key", "timestamp", "source"}``; Decimal
        and datetime values are written exactly. Raises Refusal (nothing was accepted) or GatewayUnavailable.
        """
        result = self.deliver([item_of(event, self._new_key) for event in events])
        if result.refusal is not None:
            raise result.refusal
        return result

    def send_batches(
        self,
        batches: Iterable[Sequence[Mapping[str, Any]]],
        *,
        concurrency: int = 4,
        on_result: Callable[[BatchResult], None] | None = None,
    ) -> Summary:
        """Send many batches, ``concurrency`` at a time, and count the results.

        ``batches`` is read lazily, at most ``2 × concurrency`` ahead. ``on_result`` is called in the calling thread
        once per batch, in input order. A refused batch is counted (``Summary.refusals``) and the run continues,
        unless the refusal concerns the sender (wrong key, unknown namespace); that Refusal is raised. Raises
        GatewayUnavailable if a batch got no final response before its deadline; sending everything again with the
        same keys is safe.
        """
        summary = Summary()
        started = time.monotonic()
        pending: deque[Future[BatchResult]] = deque()
        give_up = threading.Event()

        def send(number: int, events: Sequence[Mapping[str, Any]]) -> BatchResult:
            return self.deliver([item_of(event, self._new_key) for event in events], number, give_up)

        def take() -> None:
            result = pending.popleft().result()
            if result.refusal is not None and result.refusal.of_sender:
                raise result.refusal
            summary.add(result)
            if on_result is not None:
                on_result(result)

        with ThreadPoolExecutor(concurrency, thread_name_prefix="weir-send") as pool:
            try:
                for number, events in enumerate(batches):
                    pending.append(pool.submit(send, number, events))
                    if len(pending) >= 2 * concurrency:
                        take()
                while pending:
                    take()
            except BaseException:
                give_up.set()
                for future in pending:
                    future.cancel()
                raise
        summary.seconds = time.monotonic() - started
        return summary

    def deliver(
        self, items: Sequence[WireEvent], number: int = 0, give_up: threading.Event | None = None
    ) -> BatchResult:
        """Send one batch, retrying until the response is final; setting ``give_up`` ends the retries. Raises
        GatewayUnavailable."""
        sending = Sending(number, items, str(self._http.base_url), self._deadline, time.monotonic())
        stop = give_up or threading.Event()
        body = body_of(items)
        while True:
            step = sending.take(self.attempt(BATCH_PATH, body), time.monotonic(), random.random())
            if isinstance(step, BatchResult):
                return step
            if stop.wait(step):
                raise sending.given_up()

    def void(self, idempotency_key: str, reason: str, source: str = "") -> VoidTaken:
        """Void an accepted event; returns once the void is stored in Kafka. Needs a key with scope admin.

        Its effect is visible once it is metered; a void that matches no event appears among the rejections. Raises
        Refusal or GatewayUnavailable; repeating it is safe.
        """
        voiding = Voiding(idempotency_key, reason, source, str(self._http.base_url), self._deadline, time.monotonic())
        return answered(voiding, self.attempt)

    def check(
        self,
        account_id: str,
        feature: str,
        *,
        quantity: Decimal | None = None,
        on_failure: OnFailure,
        max_age: float = MAX_AGE,
    ) -> CheckResult:
        """Whether an account may use a feature now, or ``quantity`` of it. Needs a key with scope read.

        An answer to the same question that is at most ``max_age`` seconds old is taken again; 0: always ask.
        ``on_failure``: what holds while the service does not answer, "allow" (fail open) or "deny" (fail closed); it is
        then not asked again for a second. Raises Refusal for a wrong key, namespace or quantity.
        """
        question = account_id, feature, quantity
        result = self._checks.known(question, max_age, on_failure, time.monotonic())
        if result is not None:
            return result
        answer = self._attempt(check_url(self._rating_url), check_body(question), {}, self._check_timeout)
        return self._checks.take(question, answer, on_failure, time.monotonic())

    def reserve(
        self,
        account_id: str,
        feature: str,
        quantity: Decimal | int,
        *,
        expires_in: int = EXPIRES_IN,
        idempotency_key: str | None = None,
    ) -> ClientReservation:
        """Set ``quantity`` of a feature apart for ``expires_in`` seconds: a context manager (see its class), which is
        finalised with what was used or released. Needs a key with scope ingest. Raises Refusal where it is not granted
        (``problem["reason"]``: limit_reached, …), and ReservationUnknown; the same ``idempotency_key`` again reserves
        nothing more."""
        url = reservations_url(self._rating_url, account_id, feature)
        body = reserve_request(quantity, expires_in, idempotency_key or self._new_key())
        document = answered(Reserving(url, body, self._deadline, time.monotonic()), self.attempt)
        return ClientReservation(document, url, self._new_key(), self.attempt, self._deadline)

    def attempt(self, path: str, body: bytes, **headers: str) -> AttemptAnswer:
        """Make one request, without retries."""
        return self._attempt(path, body, headers, self._http.timeout)

    def _attempt(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout: float | httpx.Timeout
    ) -> AttemptAnswer:
        try:
            response = self._http.post(path, content=body, headers=headers, timeout=timeout)
        except httpx.TransportError as error:
            return lost(error)
        return answer_of(response.status_code, response.headers, response.content)
