"""Refused requests as records of usage.rejected, so that the ledger balances: received = refused + accepted (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.acceptance import MAX_TEXT
from schemas.catalog.models import Namespace
from schemas.filters import lookup
from schemas.json_text import exact

MAX_SAMPLE: Final = 16 * 1024
SAMPLES_PER_SECOND: Final = 100


class _Batch(msgspec.Struct):
    events: list[msgspec.Raw]


_batch = msgspec.json.Decoder(_Batch)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What can be told of a refused body: how many events, and whose event is at fault ("" where unknown)."""

    events: int = 1
    account_id: str = ""
    event_name: str = ""
    idempotency_key: str = ""


def sketch(body: bytes, index: int | None, settings: Namespace, *, single: bool) -> Sketch:
    """Read as much as can be read; never raises. Of a body that is no batch, one event is assumed."""
    try:
        events = [msgspec.Raw(body)] if single else _batch.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Sketch()
    if index is None or index >= len(events):
        return Sketch(len(events))
    try:
        event = exact(bytes(events[index]))
    except ValueError:
        event = None
    if not isinstance(event, dict):
        return Sketch(len(events))
    account = event.get("account_id")
    if account is None:
        found = (lookup(event.get("properties"), path) for path in settings.account_paths)
        account = next((value for value in found if isinstance(value, str)), "")
    return Sketch(len(events), _text(account), _text(event.get("event_name")), _text(event.get("idempotency_key")))


def _text(value: Any) -> str:
    # Lone surrogates, which JSON can spell, do not go into Avro.
    return value[:MAX_TEXT].encode(errors="replace").decode() if isinstance(value, str) else ""


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
    namespace: str, reason: str, detail: str, told: Sketch, original: bytes, now_us: int, rejection_id: bytes
) -> dict[str, Any]:
    """A RejectedEvent record of stage "gateway"; ``original`` is cut to 16 KiB."""
    return {
        "namespace": namespace,
        "stage": "gateway",
        "reason": reason,
        "detail": detail[:2000],
        "events": told.events,
        "account_id": told.account_id,
        "event_name": told.event_name,
        "idempotency_key": told.idempotency_key,
        "original": original[:MAX_SAMPLE],
        "received_at": now_us,
        "rejection_id": rejection_id,
    }
