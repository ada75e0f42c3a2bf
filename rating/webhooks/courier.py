"""One namespace's deliveries: a task of its own, so that a receiver that is dead or slow delays nobody else's."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rating.webhooks.delivery_metrics import DeliveryMetrics
from rating.webhooks.hook import WebhookEndpoint
from rating.webhooks.queue import Queue, QueuedDelivery, RetrySchedule
from rating.webhooks.receiver import signing
from rating.webhooks.receiver.attempt import ReceiverAnswer, Sender
from schemas.settings import Settings

log = logging.getLogger(__name__)

_SECOND: Final = 1_000_000
_REMOVED: Final = "the webhook was removed before this was delivered"


@dataclass(frozen=True, slots=True)
class CourierContext:
    """What all couriers share. ``render``: the message body of a delivery, None where it cannot be sent yet;
    ``record``: writes outcomes durably."""

    settings: Settings
    sender: Sender
    render: Callable[[QueuedDelivery], Awaitable[bytes | None]]
    record: Callable[[Sequence[QueuedDelivery]], Awaitable[object]]
    metrics: DeliveryMetrics


class Courier:
    """``run`` until it is cancelled; an attempt that is then under way is made again by whoever comes next."""

    def __init__(self, namespace: str, context: CourierContext) -> None:
        self.namespace = namespace
        self._context = context
        settings = context.settings
        self._root = signing.root_key(settings)
        self._queue = Queue(
            RetrySchedule(
                settings.webhook_first_retry_seconds,
                settings.webhook_last_retry_seconds,
                settings.webhook_give_up_seconds,
            )
        )
        self._hook: WebhookEndpoint | None = None
        self._woken = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None

    def __len__(self) -> int:
        """How many deliveries wait."""
        return len(self._queue)

    def set_hook(self, hook: WebhookEndpoint | None) -> None:
        """Where to send from now on. What waits for an address that is changed is due at once; where there is none any
        more, it is given up."""
        previous, self._hook = self._hook, hook
        if previous is not None and hook is not None and previous != hook:
            self._queue.reset_receiver(_now_us())
        self._woken.set()

    def add(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Queue deliveries read from the store; those already queued are passed over."""
        for delivery in deliveries:
            self._queue.add(delivery)
        self._woken.set()

    async def run(self) -> None:
        """Deliver. A fault of ours in an attempt ends it, so that nothing is stuck unseen."""
        try:
            while self._fault is None:
                self._woken.clear()
                await self._step()
                await self._wait()
            raise self._fault
        finally:
            for attempt in self._attempts:
                attempt.cancel()

    async def _step(self) -> None:
        if self._hook is None:
            if gone := self._queue.give_up_all(_REMOVED):
                self._tell_given_up(gone)
                await self._context.record(gone)
            return
        while self._hook.enabled and (delivery := self._queue.take(_now_us())) is not None:
            attempt = asyncio.create_task(self._attempt(self._hook, delivery))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._ended)

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        if not attempt.cancelled() and (fault := attempt.exception()) is not None:
            self._fault = fault
            self._woken.set()

    async def _wait(self) -> None:
        due_us = self._queue.due_us() if self._hook is not None and self._hook.enabled else None
        seconds = None if due_us is None else max(0.0, (due_us - _now_us()) / _SECOND)
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            pass

    async def _attempt(self, hook: WebhookEndpoint, delivery: QueuedDelivery) -> None:
        try:
            answer = await self._sent(hook, delivery)
            now_us = _now_us()
            if answer is None:
                self._queue.postponed(delivery, _look_again_us(delivery.queued_us, now_us))
            elif answer.ok:
                await self._context.record([self._queue.delivered(delivery, now_us, answer.status)])
            else:
                outcomes = self._queue.failed(
                    delivery, now_us, answer.status, answer.error, random.random(), answer.retry_after
                )
                attempt = delivery.attempts + 1
                log.warning(
                    "%s: %s to %s, attempt %d: %s",
                    self.namespace,
                    delivery.message_id,
                    hook.shown,
                    attempt,
                    answer.error,
                )
                self._tell_given_up([outcome for outcome in outcomes if outcome.state == "given_up"])
                await self._context.record(outcomes)
        finally:
            self._woken.set()

    async def _sent(self, hook: WebhookEndpoint, delivery: QueuedDelivery) -> ReceiverAnswer | None:
        """The receiver's answer; None where there is nothing to send yet, which is not the receiver's fault."""
        try:
            body = await self._context.render(delivery)
            if body is None:
                return None
            began_us = _now_us()
            secrets = hook.secrets(self._root, began_us, self._context.settings.webhook_overlap_seconds)
            headers = signing.headers(secrets, delivery.message_id, began_us // _SECOND, body)
            answer = await self._context.sender.send(hook.url, headers, body, began_us / _SECOND)
        except Exception as error:  # ClickHouse is away, or a fault of ours: asked again, ever more seldom
            log.warning("%s: %s cannot be sent yet: %s", self.namespace, delivery.message_id, type(error).__name__)
            return None
        self._context.metrics.attempt(self.namespace, answer.ok, (_now_us() - began_us) / _SECOND)
        return answer

    def _tell_given_up(self, gone: Sequence[QueuedDelivery]) -> None:
        self._context.metrics.given_up(self.namespace, len(gone))
        for delivery in gone[:20]:
            log.error(
                "%s: %s is given up: %s; `weir webhook replay` sends it again",
                self.namespace,
                delivery.message_id,
                delivery.error,
            )


def _look_again_us(queued_us: int, now_us: int) -> int:
    """When to look again for a body that is not there yet: soon at first, then ever more seldom, at most every 30 s."""
    return now_us + min(max((now_us - queued_us) // 10, 300_000), 30 * _SECOND)


def _now_us() -> int:
    return time.time_ns() // 1000
