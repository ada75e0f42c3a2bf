"""The producers' queue, and the effect of a refusal on each queued event. Pure; time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ingest.client.wire import MAX_BATCH, Refusal, WireEvent

MAX_BYTES: Final = 1024 * 1024

Ticket = TypeVar("Ticket")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Ticket]):
    """A queued event, the caller's future, and since when it is queued (monotonic seconds)."""

    item: WireEvent
    ticket: Ticket
    since: float


class Buffer(Generic[Ticket]):
    """A queue that yields batches: full ones at once, others when their first event has waited ``interval``
    seconds."""

    def __init__(self, *, batch: int = MAX_BATCH, interval: float = 0.2) -> None:
        self._batch = batch
        self._interval = interval
        self._queue: deque[Waiting[Ticket]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: WireEvent, ticket: Ticket, now: float) -> None:
        """Append an event."""
        self._queue.append(Waiting(item, ticket, now))

    def due_in(self, now: float) -> float | None:
        """Seconds until a batch is due: 0 if one is due now, None if the queue is empty."""
        if not self._queue:
            return None
        if len(self._queue) >= self._batch:
            return 0.0
        return max(0.0, self._queue[0].since + self._interval - now)

    def take(self) -> list[Waiting[Ticket]]:
        """The next batch, due or not: at most ``batch`` events and 1 MiB, but at least one event unless the queue
        is empty."""
        batch: list[Waiting[Ticket]] = []
        size = 0
        while self._queue and len(batch) < self._batch:
            size += len(self._queue[0].item.body)
            if batch and size > MAX_BYTES:
                break
            batch.append(self._queue.popleft())
        return batch


@dataclass(frozen=True, slots=True)
class Verdict(Generic[Ticket]):
    """Outcome of a refused batch: events that are refused finally, and batches to send again without them."""

    refused: Sequence[Waiting[Ticket]]
    again: Sequence[list[Waiting[Ticket]]]


def after_refusal(batch: list[Waiting[Ticket]], refusal: Refusal) -> Verdict[Ticket]:
    """Split a refused batch. A batch is refused as a whole, but only the event at fault is refused finally; a batch
    that is too large is halved."""
    index = refusal.index
    if refusal.status in (400, 422) and index is not None and 0 <= index < len(batch):
        others = batch[:index] + batch[index + 1 :]
        return Verdict([batch[index]], [others] if others else [])
    if refusal.status == 413 and len(batch) > 1:
        middle = len(batch) // 2
        return Verdict([], [batch[:middle], batch[middle:]])
    return Verdict(batch, [])
