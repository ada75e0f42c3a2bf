"""What a replay begins with, and what judging it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.events.acceptance import AcceptedEvent
from schemas.events.voids import EventVoid


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row of rejected_events. ``received_us``: original arrival; ``replayed``: what came of its replay, "" for none.
    ``original_size``: where only the beginning of the original is kept, the bytes of all of it, else -1."""

    rejection_id: bytes
    namespace: str
    stage: str
    reason: str
    detail: str
    events: int
    account_id: str
    event_name: str
    idempotency_key: str
    original: bytes
    origin_topic: str
    origin_partition: int
    origin_offset: int
    received_us: int
    replayed: str = ""
    original_size: int = -1
    original_hash: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A rejection's events, or ``why`` it cannot enter. ``catalog_offset``: where the batch itself names one."""

    rejection: Rejection
    events: Sequence[AcceptedEvent] = ()
    why: str = ""
    namespace: str = ""
    catalog_offset: int | None = None
    void: EventVoid | None = None
