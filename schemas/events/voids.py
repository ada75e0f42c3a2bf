"""Voids: the record on usage.events that takes an accepted event back.

It stands in the partition of the event's identity, so the log orders both; what it does is for ``meter`` to decide (the
last counted copy before it is voided, once). Events stay where they are: whoever totals leaves out what was voided
below the cut it reads.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from schemas.events.identity import identity
from schemas.kafka.codec import codec

MAX_REASON: Final = 500
"""Characters of a void's reason."""

NOTHING_TO_VOID: Final = "nothing_to_void"
ALREADY_VOIDED: Final = "already_voided"
WITHOUT_EFFECT: Final = (NOTHING_TO_VOID, ALREADY_VOIDED)
"""Why a void did nothing: the reasons of its row in rejected_events."""

_codec: Final = codec("event_void")
is_void: Final = _codec.knows
"""Whether the value of a record of usage.events is a void, by its header; it may be broken nevertheless."""


@dataclass(frozen=True, slots=True)
class EventVoid:
    """What is asked for; its position is its record's."""

    namespace: str
    source: str
    idempotency_key: str
    reason: str
    author: str

    @property
    def identity(self) -> bytes:
        """16 bytes: whose events are meant, and which partition takes the void."""
        return identity(self.namespace, self.source, self.idempotency_key)


def encode_void(void: EventVoid) -> bytes:
    """The value of its record."""
    return _codec.encode(asdict(void))


def decode_void(value: bytes) -> EventVoid:
    """Raises CodecError for bytes that are no void."""
    return EventVoid(**_codec.decode(value))
