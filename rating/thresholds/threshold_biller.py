"""Bills subscriptions that have reached their threshold, in the process of webhooks: by a close of these alone.

It keeps nothing. A close decides anew whether a threshold is reached, and its invoice claims the end of the chain by
which that was found; so a process that was killed, run twice, or beside any other close bills a crossing once. What a
killed process left is found by the next one, which looks at all accounts at its start.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from rating.close import CloseError, CloseResult, run_close
from rating.thresholds.billing_queue import BillingQueue
from schemas.health.stages import Attempts
from schemas.settings import Settings

log = logging.getLogger(__name__)

_AT_ONCE: Final = 2
"""Closes, of different namespaces: while one waits, as for rows that are lost, the others have a turn."""
_STAGE: Final = "threshold invoices of"
CloseReached = Callable[[str, frozenset[str]], CloseResult]
"""A close of subscriptions of a namespace alone, each where it has reached its threshold. Blocking."""


class BillerMetrics:
    """What became of closes, and what waits for one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._closes = Counter(
            "weir_threshold_closes",
            "closes of subscriptions that have reached their invoice_threshold, by what came of it: billed, nothing,"
            " or failed",
            ["outcome"],
            registry=registry,
        )
        self._waiting = Gauge(
            "weir_threshold_waiting", "subscriptions that wait for their interim invoice", registry=registry
        )

    def closed(self, outcome: str) -> None:
        """One close, however it ended."""
        self._closes.labels(outcome).inc()

    def waiting(self, count: int) -> None:
        """Set how many subscriptions wait now."""
        self._waiting.set(count)


class ThresholdBiller:
    """``reached`` takes what is found, ``run`` bills it until it is cancelled. ``close``: by default that of
    ``settings``; ``ahead_of``: how far a namespace's clock is ahead of the present."""

    def __init__(
        self,
        settings: Settings,
        attempts: Attempts,
        metrics: BillerMetrics,
        close: CloseReached | None = None,
        ahead_of: Callable[[str], timedelta] = lambda _: timedelta(),
    ) -> None:
        self._settings, self._ahead_of = settings, ahead_of
        self._attempts = attempts
        self._metrics = metrics
        self._close = close or self._run_close
        self._queue = BillingQueue()
        self._lock = threading.Lock()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    def reached(self, namespace: str, subscriptions: Collection[str]) -> None:
        """These have reached their threshold. Thread-safe."""
        with self._lock:
            self._queue.add(namespace, subscriptions)
            self._metrics.waiting(len(self._queue))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self) -> None:
        """Bill until cancelled; a close that is under way then ends at its next wait."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._bill())
        finally:
            self._stopping = True

    async def _bill(self) -> None:
        while True:
            self._changed.clear()
            with self._lock:
                turn, seconds = self._queue.take(time.monotonic()), self._queue.seconds(time.monotonic())
            if turn is not None:
                await self._take_turn(*turn)
                self._changed.set()  # the other one may have waited for this namespace
                continue
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _take_turn(self, namespace: str, subscriptions: frozenset[str]) -> None:
        stage = f"{_STAGE} {namespace}"
        try:
            result = await asyncio.to_thread(self._close, namespace, subscriptions)
        except Exception as error:  # whatever it is, it is tried again; what stands by then is not billed anew
            self._metrics.closed("failed")
            self._attempts.failed(stage, f"{type(error).__name__}: {error}")
            with self._lock:
                again = self._queue.failed(namespace, subscriptions, time.monotonic())
            if again:
                log.warning("%s: interim invoices are tried again: %s: %s", namespace, type(error).__name__, error)
            else:
                (subscription,) = subscriptions
                log.error(
                    "%s: subscription %s has no interim invoice until its usage or terms change, or the next look in an"
                    " hour: %s: %s",
                    namespace, subscription, type(error).__name__, error,
                )  # fmt: skip
                self._attempts.done(stage)
        else:
            with self._lock:
                self._queue.done(namespace, subscriptions)
            self._attempts.done(stage)
            self._metrics.closed("billed" if result.invoices else "nothing")
            for invoice in result.invoices:
                log.info("%s: interim invoice %s of subscription %s", namespace, invoice.invoice_id,
                         invoice.subscription)  # fmt: skip
            for problem in result.problems:
                log.error("%s: no interim invoice: %s", namespace, problem)
        with self._lock:
            self._metrics.waiting(len(self._queue))

    def _run_close(self, namespace: str, subscriptions: frozenset[str]) -> CloseResult:
        now, ahead = datetime.now(UTC), self._ahead_of(namespace)
        return run_close(self._settings, namespace, None, now, self._go_on, reached=subscriptions, ahead=ahead)

    def _go_on(self, *_: object) -> None:
        if self._stopping:
            raise CloseError("the process ends")
