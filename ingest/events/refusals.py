"""Rejection records of refused requests, by which the books balance: received = refused + accepted. Pure."""

from __future__ import annotations

from typing import Final

from schemas.events.refused_body import Sketch
from schemas.events.rejections import GATEWAY_SAMPLE_BYTES, RejectedEvent

SAMPLES_PER_SECOND: Final = 100


class Sampler:
    """Decides whether a refusal's bytes are stored: the first ``limit`` of each second. Time is an argument."""

    def __init__(self, limit: int = SAMPLES_PER_SECOND) -> None:
        self._limit = limit
        self._second = -1
        self._taken = 0

    def take(self, now_us: int) -> bool:
        """Count a refusal at ``now_us`` (microseconds UTC); whether to store its bytes."""
        second = now_us // 1_000_000
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= self._limit


def rejection(
    namespace: str, reason: str, detail: str, sketch: Sketch, body: bytes, *, now_us: int, rejection_id: bytes
) -> RejectedEvent:
    """The rejection record of a request; the first ``GATEWAY_SAMPLE_BYTES`` of its ``body`` are stored."""
    return RejectedEvent(
        namespace=namespace,
        stage="gateway",
        reason=reason,
        detail=detail,
        events=sketch.events,
        original=body[:GATEWAY_SAMPLE_BYTES],
        received_at=now_us,
        rejection_id=rejection_id,
        account_id=sketch.account_id,
        event_name=sketch.event_name,
        idempotency_key=sketch.idempotency_key,
    )
