"""Records of a replay: a rejection read from ClickHouse, and the result of judging it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.events.acceptance import AcceptedEvent
from schemas.events.voids import EventVoid


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row of rejected_events.

    ``received_us``: original arrival, microseconds UTC. ``replayed``: result of an earlier replay, "" if none.
    ``original_size``: size in bytes of the complete original if only its beginning is stored, else -1.
    """

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
    """A rejection's accepted events or void, or the reason (``why``) for which it cannot be accepted.

    ``catalog_offset``: the catalog offset named by the batch itself, None if it names none.
    """

    rejection: Rejection
    events: Sequence[AcceptedEvent] = ()
    why: str = ""
    namespace: str = ""
    catalog_offset: int | None = None
    void: EventVoid | None = None


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """Result of a replay: ``entered`` events were (or, in a dry run, would be) appended, ``counted`` events had
    counted before; ``why``: reason if the rejection stays refused; ``places``: positions of the appended records."""

    rejection: Rejection
    entered: int = 0
    counted: int = 0
    why: str = ""
    places: Sequence[str] = field(default=())
