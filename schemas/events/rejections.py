"""Records of usage.rejected, each small enough to get in: what is too large is kept by its beginning, size, hash and
origin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from schemas.kafka.codec import codec

GATEWAY_SAMPLE_BYTES: Final = 16 * 1024
"""What a gateway keeps of a refused body: one of this length may have been cut."""
BEGINNING_BYTES: Final = 64 * 1024
_ENVELOPE_BYTES: Final = (
    16 * 1024
)  # everything but the original: names of 256 characters, a detail of DETAIL_CHARACTERS
DETAIL_CHARACTERS: Final = 2_000
_codec = codec("rejected_event")


def rejection_record(fields: Mapping[str, Any], limit: int) -> bytes:
    """The record of ``fields`` (avro/rejected_event.avsc) in at most ``limit`` bytes. Its original is whole where that
    fits."""
    record = dict(fields) | {"detail": fields["detail"][:DETAIL_CHARACTERS]}
    original = record["original"]
    if len(original) > limit - _ENVELOPE_BYTES:
        record |= {
            "original": original[: min(BEGINNING_BYTES, limit - _ENVELOPE_BYTES)], "original_size": len(original),
            "original_hash": hash_of(original),
        }  # fmt: skip
    return _codec.encode(record)


def hash_of(original: bytes) -> str:
    """What ``original_hash`` holds."""
    return blake2b(original, digest_size=16).hexdigest()
