"""Voids: records on usage.events that void an accepted event.

A void is in the partition of its event's identity, so the log orders both. The ``meter`` agent decides its effect
(it voids the last copy counted before it, once). Events stay stored: totals exclude events voided below the cut
they refer to.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from schemas.events.identity import identity
from schemas.kafka.codec import codec

MAX_REASON: Final = 500
"""Maximum length of a void's reason, in characters."""

NOTHING_TO_VOID: Final = "nothing_to_void"
ALREADY_VOIDED: Final = "already_voided"
WITHOUT_EFFECT: Final = (NOTHING_TO_VOID, ALREADY_VOIDED)
"""The rejection reasons of voids without effect."""

_codec: Final = codec("event_void")
is_void: Final = _codec.knows
"""Whether a record of usage.events has the header of a void; its body may still be corrupt."""


@dataclass(frozen=True, slots=True)
class EventVoid:
    """A void as requested; its position is that of its record."""

    namespace: str
    source: str
    idempotency_key: str
    reason: str
    author: str

    @property
    def identity(self) -> bytes:
        """The 16-byte identity of the event to void, which also determines the partition."""
        return identity(self.namespace, self.source, self.idempotency_key)


def encode_void(void: EventVoid) -> bytes:
    """Encode a void as a record's value."""
    return _codec.encode(asdict(void))


def decode_void(value: bytes) -> EventVoid:
    """Decode a void. Raises CodecError."""
    return EventVoid(**_codec.decode(value))
