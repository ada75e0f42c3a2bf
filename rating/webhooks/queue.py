"""Which delivery is next, when again, and when it is given up: one namespace's queue. Pure; ``now`` and randomness are
arguments.

Versions of one invoice go in their order: while one is refused, those after it wait. Other invoices go on, so that a
receiver which stumbles over one of them gets the rest. Where several invoices in a row are refused, the receiver is
taken to be down and asked by one delivery at a time; once it takes one, all are due.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from schemas.catalog.webhook_setting import WebhookEvent
from schemas.values.record_copy import replace

DeliveryState = Literal["waiting", "delivered", "given_up"]
Lane = tuple[str, str]
AT_ONCE: Final = 8
_DOWN_AFTER: Final = 3
_PROBE_SECONDS: Final = 300.0
_RETRY_AFTER_SECONDS: Final = 86_400.0
_DELIVERED: Final = 1 << 40
_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class QueuedDelivery:
    """One version of an invoice, or of an alert, to one webhook, with its outcome so far. ``invoice_id``: of either;
    ``webhook``: its code, "" for the one without; ``replay``: "" for the first delivery. Instants: microseconds UTC, 0
    for none. ``status`` is of the last answer, ``refused_…`` and ``error`` of the last attempt that failed."""

    namespace: str
    message_id: str
    replay: str
    invoice_id: str
    version: int
    type: WebhookEvent
    appended_us: int
    queued_us: int
    state: DeliveryState = "waiting"
    attempts: int = 0
    first_us: int = 0
    last_us: int = 0
    next_us: int = 0
    status: int = 0
    refused_us: int = 0
    refused_status: int = 0
    error: str = ""
    webhook: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Identifies it within its namespace: (message id, replay)."""
        return self.message_id, self.replay

    @property
    def lane(self) -> Lane:
        """The lane of the delivery, (invoice id, replay): deliveries of one lane are sent one after another."""
        return self.invoice_id, self.replay

    @property
    def step(self) -> int:
        """Grows with what comes of it; of two records of one delivery, that with the greater step stands."""
        return _DELIVERED if self.state == "delivered" else 2 * self.attempts + (self.state == "given_up")


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """How long to wait before the next try, at least and at most, and after how long a delivery is given up."""

    first_seconds: float
    longest_seconds: float
    give_up_seconds: float

    def delay_us(self, failures: int, jitter: float, retry_after: float | None = None) -> int:
        """Microseconds to wait after so many failures (1, 2, …). ``jitter`` in [0, 1) spreads the tries of many by a
        quarter to either side. A receiver's ``retry_after`` (seconds) may prolong it, up to a day."""
        seconds = min(self.first_seconds * 2.0 ** min(failures - 1, 40), self.longest_seconds) * (0.75 + 0.5 * jitter)
        return int(max(seconds, min(retry_after or 0.0, _RETRY_AFTER_SECONDS)) * _SECOND)

    def probe_us(self, failures: int, jitter: float) -> int:
        """The same for a receiver that is down, seldom enough not to harm it and often enough to find it back soon."""
        return min(self.delay_us(failures, jitter), int(_PROBE_SECONDS * _SECOND))


class Queue:
    """The deliveries that wait in one namespace."""

    def __init__(self, retries: RetrySchedule, waiting: Iterable[QueuedDelivery] = ()) -> None:
        self._retries = retries
        self._lanes: dict[Lane, deque[QueuedDelivery]] = {}
        self._keys: set[tuple[str, str]] = set()
        self._due: dict[Lane, int] = {}  # of lanes that nothing of is under way
        self._heap: list[tuple[int, int, Lane]] = []
        self._pushed = 0
        self._under_way = 0
        self._refused: set[Lane] = set()  # since the last success
        self._probes = 0
        self._held_us = 0
        for delivery in waiting:
            self.add(delivery)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def down(self) -> bool:
        """Whether the receiver is taken to refuse everything."""
        return len(self._refused) >= _DOWN_AFTER

    def add(self, delivery: QueuedDelivery) -> bool:
        """Queue the delivery behind others of its lane; False where it is queued already."""
        if delivery.key in self._keys:
            return False
        self._keys.add(delivery.key)
        lane = self._lanes.setdefault(delivery.lane, deque())
        lane.append(delivery)
        if len(lane) == 1:
            self._schedule(delivery.lane, delivery.next_us)
        return True

    def take(self, now_us: int) -> QueuedDelivery | None:
        """The next delivery to try now, which is under way until ``delivered``, ``failed`` or ``postponed`` is called
        for it."""
        if now_us < self._held_us or self._under_way >= (1 if self.down else AT_ONCE):
            return None
        while self._heap:
            due_us, _, lane = self._heap[0]
            if self._due.get(lane) != due_us:
                heapq.heappop(self._heap)  # it has another date by now
                continue
            if due_us > now_us:
                return None
            heapq.heappop(self._heap)
            del self._due[lane]
            self._under_way += 1
            return self._lanes[lane][0]
        return None

    def due_us(self) -> int | None:
        """The instant from which ``take`` may give something; None where nothing but another call can change that."""
        if self._under_way >= (1 if self.down else AT_ONCE):
            return None
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return max(self._heap[0][0], self._held_us) if self._heap else None

    def postponed(self, delivery: QueuedDelivery, until_us: int) -> None:
        """Schedule a delivery again that could not be tried, for a reason that is not the receiver's."""
        self._under_way -= 1
        self._schedule(delivery.lane, until_us)

    def delivered(self, delivery: QueuedDelivery, now_us: int, status: int) -> QueuedDelivery:
        """The receiver accepted it. Returns the delivery with its outcome; where the receiver was down, all that waits
        is due now."""
        self._under_way -= 1
        was_down, self._probes, self._held_us = self.down, 0, 0
        self._refused.clear()
        done = replace(
            delivery,
            state="delivered",
            attempts=delivery.attempts + 1,
            first_us=delivery.first_us or now_us,
            last_us=now_us,
            next_us=0,
            status=status,
        )
        self._leave(delivery)
        if was_down:
            self.retry_now(now_us)
        return done

    def failed(
        self,
        delivery: QueuedDelivery,
        now_us: int,
        status: int,
        error: str,
        jitter: float,
        retry_after: float | None = None,
    ) -> list[QueuedDelivery]:
        """The receiver refused it. Returns what is to be recorded: the delivery, with its next try or given up, and any
        that are given up with it."""
        self._under_way -= 1
        self._refused.add(delivery.lane)
        attempts, first_us = delivery.attempts + 1, delivery.first_us or now_us
        next_us = now_us + self._retries.delay_us(attempts, jitter, retry_after)
        if self.down:
            self._probes += 1
            self._held_us = now_us + self._retries.probe_us(self._probes, jitter)
        if retry_after is not None and status in (429, 503):
            self._held_us = max(self._held_us, next_us)  # that is said of the receiver, not of one invoice
        tried = replace(
            delivery,
            attempts=attempts,
            first_us=first_us,
            last_us=now_us,
            next_us=next_us,
            status=status,
            refused_us=now_us,
            refused_status=status,
            error=error,
        )
        bound = now_us - int(self._retries.give_up_seconds * _SECOND)
        if first_us <= bound:
            tried = replace(tried, state="given_up", next_us=0)
            self._leave(delivery)
        else:
            self._lanes[delivery.lane][0] = tried
            self._schedule(delivery.lane, next_us)
        return [tried, *self._stale(first_us, bound)]

    def give_up_all(self, reason: str) -> list[QueuedDelivery]:
        """Give up all deliveries that wait and are not under way; returns them."""
        return self._give_up(reason, lambda _: True)

    def retry_now(self, now_us: int) -> None:
        """Make all that waits due now: the receiver is back, or has another address."""
        self._held_us = 0
        for lane, due_us in list(self._due.items()):
            if due_us > now_us:
                self._schedule(lane, now_us)

    def reset_receiver(self, now_us: int) -> None:
        """Forget what is known of the receiver: it is another one from now on."""
        self._refused.clear()
        self._probes = 0
        self.retry_now(now_us)

    def _stale(self, first_us: int, bound_us: int) -> list[QueuedDelivery]:
        """Give up what has waited since ``bound_us`` behind a receiver that was down all that time, tried or not."""
        if not self.down:
            return []
        down_since = min((lane[0].first_us for lane in self._lanes.values() if lane[0].first_us), default=first_us)
        if min(down_since, first_us) > bound_us:
            return []
        return self._give_up(
            "the receiver was down for as long as this waited", lambda delivery: delivery.queued_us <= bound_us
        )

    def _give_up(self, reason: str, which: Callable[[QueuedDelivery], bool]) -> list[QueuedDelivery]:
        gone: list[QueuedDelivery] = []
        for lane in list(self._due):
            while lane in self._due and which(self._lanes[lane][0]):
                delivery = self._lanes[lane][0]
                gone.append(replace(delivery, state="given_up", next_us=0, error=reason))
                self._leave(delivery)
        return gone

    def _leave(self, delivery: QueuedDelivery) -> None:
        """Take it out of its lane; the next delivery of the lane is due."""
        self._keys.discard(delivery.key)
        self._due.pop(delivery.lane, None)
        lane = self._lanes[delivery.lane]
        lane.popleft()
        if lane:
            self._schedule(delivery.lane, lane[0].next_us)
        else:
            del self._lanes[delivery.lane]

    def _schedule(self, lane: Lane, due_us: int) -> None:
        self._due[lane] = due_us
        self._pushed += 1
        heapq.heappush(self._heap, (due_us, self._pushed, lane))
