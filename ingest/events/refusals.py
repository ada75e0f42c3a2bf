"""Refused requests as records of usage.rejected, so that the ledger balances: received = refused + accepted (pure)."""

from __future__ import annotations

from typing import Final

from schemas.events.refused_body import Sketch
from schemas.events.rejections import GATEWAY_SAMPLE_BYTES
from schemas.values.json_text import JsonObject

SAMPLES_PER_SECOND: Final = 100


class Sampler:
    """Whether a refusal's bytes are kept: the first ``limit`` of each second. Time is an argument."""

    def __init__(self, limit: int = SAMPLES_PER_SECOND) -> None:
        self._limit = limit
        self._second = -1
        self._taken = 0

    def take(self, now_us: int) -> bool:
        """Count one refusal at ``now_us``."""
        second = now_us // 1_000_000
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= self._limit


def rejection(
    namespace: str, reason: str, detail: str, refused_body: Sketch, original: bytes, now_us: int, rejection_id: bytes
) -> JsonObject:
    """A RejectedEvent record of stage "gateway"; ``original`` is cut to 16 KiB."""
    return {
        "namespace": namespace,
        "stage": "gateway",
        "reason": reason,
        "detail": detail[:2000],
        "events": refused_body.events,
        "account_id": refused_body.account_id,
        "event_name": refused_body.event_name,
        "idempotency_key": refused_body.idempotency_key,
        "original": original[:GATEWAY_SAMPLE_BYTES],
        "received_at": now_us,
        "rejection_id": rejection_id,
    }
