"""Identity, content hash and partition of events."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Final

IDENTITY_BYTES: Final = 16
CONTENT_HASH_BYTES: Final = 8


_length: Final = Struct(">I").pack


@lru_cache(maxsize=4096)
def _prefixed(*parts: str) -> bytes:
    """Length-prefixed parts shared by many events. Separators would not do: ("a-b", "c") and ("a", "b-c") must
    differ."""
    return b"".join([_length(len(part)) + part for part in map(str.encode, parts)])


def identity(namespace: str, source: str, idempotency_key: str) -> bytes:
    """The 16-byte identity of an event: BLAKE2b-128 of the length-prefixed parts."""
    key = idempotency_key.encode()
    return blake2b(_prefixed(namespace, source) + _length(len(key)) + key, digest_size=IDENTITY_BYTES).digest()


def content_hash(event_name: str, account_id: str, properties: bytes) -> bytes:
    """8-byte hash of what the client sent. A difference is only a hint, to be confirmed by comparing canonical
    forms."""
    account = account_id.encode()
    parts = _prefixed(event_name) + _length(len(account)) + account + _length(len(properties)) + properties
    return blake2b(parts, digest_size=CONTENT_HASH_BYTES).digest()


def partition_of(identity_bytes: bytes, partitions: int) -> int:
    """The partition whose range of the hash space contains the identity: floor(first 32 bits × partitions / 2^32)."""
    return (int.from_bytes(identity_bytes[:4], "big") * partitions) >> 32


def hash_range(partition: int, partitions: int) -> tuple[bytes, bytes | None]:
    """The half-open range [low, high) of 4-byte identity prefixes of a partition; high None: unlimited."""

    def bound(number: int) -> int:
        return -((-number << 32) // partitions)

    low = bound(partition).to_bytes(4, "big")
    if partition + 1 == partitions:
        return low, None
    return low, bound(partition + 1).to_bytes(4, "big")
