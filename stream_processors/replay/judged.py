"""The result of judging a rejection again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.clickhouse.stored_rejections import Rejection
from schemas.events.acceptance import AcceptedEvent
from schemas.events.voids import EventVoid


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
