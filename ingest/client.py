"""Producer library: sends events to the gateway so that a retry is always safe.

Every event gets its idempotency key here, once, before the first attempt; so an attempt whose answer was lost (a gateway
killed in the middle, a broken connection) is sent again with the same keys, and counts once.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Self
from uuid import uuid4

import httpx
import msgspec

MAX_BATCH: Final = 100
_RETRIED: Final = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE: Final = 2.0
# A Decimal becomes a JSON number with all its digits; floats keep their shortest text.
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class SendError(Exception):
    """Base of what sending can raise."""


class GatewayUnavailable(SendError):
    """No answer before the deadline. Nothing is known about ``keys``: send the same events again, with these keys."""

    def __init__(self, detail: str, keys: Sequence[str]) -> None:
        super().__init__(f"{detail}; send the same events again with the same keys")
        self.keys = tuple(keys)


class Refusal(SendError):
    """The gateway refused a batch as a whole. ``problem`` is its problem+json document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        place = f"{problem['path']}: " if problem.get("path") else ""
        super().__init__(f"{status} {place}{problem.get('detail') or problem.get('title') or 'refused'}")
        self.status = status
        self.problem = dict(problem)

    @property
    def of_sender(self) -> bool:
        """Whether it speaks of the sender (key, namespace, address), so that every other batch would fare the same."""
        return self.status in (401, 403, 404, 405)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one batch: ``accepted`` events, or a ``refusal``. ``number``: its place in the input, from 0."""

    number: int
    size: int
    keys: tuple[str, ...]
    accepted: int
    attempts: int
    refusal: Refusal | None = None


@dataclass(slots=True)
class Summary:
    """Totals of a run. ``accepted`` and ``refused`` count events; ``refusals`` holds the first 1,000."""

    batches: int = 0
    accepted: int = 0
    refused: int = 0
    retries: int = 0
    seconds: float = 0.0
    refusals: list[BatchResult] = field(default_factory=list)

    def add(self, result: BatchResult) -> None:
        """Count one more batch."""
        self.batches += 1
        self.accepted += result.accepted
        self.retries += result.attempts - 1
        if result.refusal is not None:
            self.refused += result.size
            if len(self.refusals) < 1000:
                self.refusals.append(result)


class Client:
    """Thread-safe sender; close it, or use it as a context manager.

    ``deadline``: seconds for one batch with all its retries (503, broken or refused connections).
    """

    def __init__(
        self,
        url: str,
        key: str,
        namespace: str | None = None,
        *,
        deadline: float = 60.0,
        timeout: float = 15.0,
        new_key: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if namespace is not None:
            headers["Weir-Namespace"] = namespace
        self._deadline = deadline
        self._new_key = new_key
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers=headers,
            timeout=timeout,
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

        An event is ``{"event_name", "account_id", "properties", "idempotency_key", "timestamp", "source"}``; Decimal and
        datetime values are written exactly. Raises Refusal (nothing was accepted) or GatewayUnavailable.
        """
        result = self._send(0, events, threading.Event())
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
        """Send many batches, ``concurrency`` at a time, and count what became of them.

        ``batches`` is read lazily, at most ``2 × concurrency`` ahead. ``on_result`` runs in the calling thread, in the order
        of the input, once a batch. A refused batch is counted (``Summary.refusals``) and the run goes on, unless
        the refusal speaks of the sender (wrong key, unknown namespace): then that Refusal is raised. Raises GatewayUnavailable
        when one batch found no answer before its deadline; sending all again with the same keys is safe.
        """
        summary = Summary()
        started = time.monotonic()
        pending: deque[Future[BatchResult]] = deque()
        give_up = threading.Event()

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
                    pending.append(pool.submit(self._send, number, events, give_up))
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

    def _send(self, number: int, events: Sequence[Mapping[str, Any]], give_up: threading.Event) -> BatchResult:
        keyed = [
            event if event.get("idempotency_key") is not None else {**event, "idempotency_key": self._new_key()}
            for event in events
        ]
        keys = tuple(event["idempotency_key"] for event in keyed)
        body = _encoder.encode({"events": keyed})
        deadline = time.monotonic() + self._deadline
        attempts = 0
        while True:
            attempts += 1
            pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(attempts, 10))
            try:
                response = self._http.post("/v1/events/batch", content=body)
            except httpx.TransportError as error:
                what = f"{type(error).__name__}: {error}"
            else:
                if response.status_code == 202:
                    return BatchResult(number, len(keyed), keys, response.json()["accepted"], attempts)
                if response.status_code not in _RETRIED:
                    refusal = Refusal(response.status_code, _problem(response))
                    return BatchResult(number, len(keyed), keys, 0, attempts, refusal)
                what = f"{response.status_code} {_problem(response).get('detail', '')}"
                pause = max(pause, _retry_after(response))
            # Jitter, so that many senders that lost one gateway do not come back in one instant.
            pause *= random.uniform(0.5, 1.0)
            if time.monotonic() + pause > deadline or give_up.wait(pause):
                raise GatewayUnavailable(f"{self._http.base_url}: no acceptance in {attempts} attempts ({what})", keys)


def batched(events: Iterable[Mapping[str, Any]], size: int = MAX_BATCH) -> Iterable[list[Mapping[str, Any]]]:
    """Lists of ``size`` events, the last one shorter; lazy."""
    batch: list[Mapping[str, Any]] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"status": response.status_code, "title": response.reason_phrase, "detail": response.text[:500]}


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("Retry-After", "0")), _LONGEST_PAUSE)
    except ValueError:
        return 0.0
