"""What makes two copies one event, and where they meet."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

IDENTITY_BYTES: Final = 16
CONTENT_HASH_BYTES: Final = 8


def _prefixed(parts: tuple[bytes, ...]) -> bytes:
    # Length prefixes, not separators: ("a-b", "c") and ("a", "b-c") must not meet.
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def identity(namespace: str, source: str, idempotency_key: str) -> bytes:
    """BLAKE2b-128 of the length-prefixed parts: 16 bytes."""
    parts = (namespace.encode(), source.encode(), idempotency_key.encode())
    return blake2b(_prefixed(parts), digest_size=IDENTITY_BYTES).digest()


def content_hash(event_name: str, account_id: str, properties: bytes) -> bytes:
    """8 bytes over what the client sent; a difference is only a hint that is checked by canonical forms."""
    parts = (event_name.encode(), account_id.encode(), properties)
    return blake2b(_prefixed(parts), digest_size=CONTENT_HASH_BYTES).digest()


def partition_of(identity_bytes: bytes, partitions: int) -> int:
    """The partition whose range of the hash space holds the identity: floor(first 32 bits × partitions / 2^32)."""
    return (int.from_bytes(identity_bytes[:4], "big") * partitions) >> 32


def hash_range(partition: int, partitions: int) -> tuple[bytes, bytes | None]:
    """Half-open range [low, high) of 4-byte identity prefixes of a partition; high None: to the end."""

    def bound(number: int) -> int:
        return -((-number << 32) // partitions)

    low = bound(partition).to_bytes(4, "big")
    if partition + 1 == partitions:
        return low, None
    return low, bound(partition + 1).to_bytes(4, "big")
