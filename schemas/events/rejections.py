"""Builds the records of usage.rejected. An original that exceeds the record limit is stored by its beginning, size,
hash and origin. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

from schemas.events.identity import identity as identity_of
from schemas.kafka.codec import codec

GATEWAY_SAMPLE_BYTES: Final = 16 * 1024
"""How much of a refused body a gateway stores; a stored original of this length may be truncated."""
BEGINNING_BYTES: Final = 64 * 1024
_ENVELOPE_BYTES: Final = 16 * 1024
"""Upper limit of everything but the original: names of 256 characters, a detail of DETAIL_CHARACTERS."""
DETAIL_CHARACTERS: Final = 2_000
_codec = codec("rejected_event")

RejectionStage = Literal["gateway", "admit", "meter", "replay"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Position in Kafka of the refused record; empty for the gateway, which refuses before there is one. ``index``:
    the event at fault within the record."""

    topic: str = ""
    generation: int = 0
    partition: int = -1
    offset: int = -1
    index: int = 0


NOWHERE: Final = Origin()


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """A rejection (avro/rejected_event.avsc).

    ``reason``: for programs; ``detail``: a sentence with the place and the remedy; ``events``: the number of events
    it stands for; ``original``: the bytes as received; ``received_at``: their arrival, microseconds UTC.
    """

    namespace: str
    stage: RejectionStage
    reason: str
    detail: str
    events: int
    original: bytes
    received_at: int
    rejection_id: bytes
    account_id: str = ""
    event_name: str = ""
    idempotency_key: str = ""
    origin: Origin = NOWHERE


def rejection_record(rejected: RejectedEvent, limit: int | None = None) -> bytes:
    """Encode a rejection in at most ``limit`` bytes, with the complete original if it fits; None: always complete.
    Raises CodecError if a field does not fit."""
    original, origin = rejected.original, rejected.origin
    record: dict[str, object] = {
        "namespace": rejected.namespace, "stage": rejected.stage, "reason": rejected.reason,
        "detail": rejected.detail[:DETAIL_CHARACTERS], "events": rejected.events, "account_id": rejected.account_id,
        "event_name": rejected.event_name, "idempotency_key": rejected.idempotency_key, "original": original,
        "origin_topic": origin.topic, "origin_generation": origin.generation, "origin_partition": origin.partition,
        "origin_offset": origin.offset, "origin_index": origin.index, "received_at": rejected.received_at,
        "rejection_id": rejected.rejection_id,
    }  # fmt: skip
    if limit is not None and len(original) > limit - _ENVELOPE_BYTES:
        record["original"] = original[: max(0, min(BEGINNING_BYTES, limit - _ENVELOPE_BYTES))]
        record["original_size"] = len(original)
        record["original_hash"] = hash_of(original)
    return _codec.encode(record)


def derived_id(topic: str, partition: int, offset: int, index: int) -> bytes:
    """A 16-byte rejection id derived from its origin, so that a repeated write is recognised."""
    return identity_of(topic, f"{partition}:{offset}", str(index))


def hash_of(original: bytes) -> str:
    """The value of ``original_hash``."""
    return blake2b(original, digest_size=16).hexdigest()
