"""Identity, content hash and partition of events."""

from __future__ import annotations

from collections.abc import Sequence
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


def identities(namespace: str, sources: Sequence[str], idempotency_keys: Sequence[str]) -> list[bytes]:
    """The ``identity`` of many events, each from its source and key."""
    starts = {source: blake2b(_prefixed(namespace, source), digest_size=IDENTITY_BYTES).copy for source in set(sources)}
    states = [starts[source]() for source in sources]
    for state, key in zip(states, map(str.encode, idempotency_keys), strict=True):
        state.update(_length(len(key)) + key)
    return [state.digest() for state in states]


def content_hash(event_name: str, account_id: str, properties: bytes) -> bytes:
    """8-byte hash of what the client sent. A difference is only a hint, to be confirmed by comparing canonical
    forms."""
    account = account_id.encode()
    parts = _prefixed(event_name) + _length(len(account)) + account + _length(len(properties)) + properties
    return blake2b(parts, digest_size=CONTENT_HASH_BYTES).digest()


def content_hashes(event_names: Sequence[str], account_ids: Sequence[str], properties: Sequence[bytes]) -> list[bytes]:
    """The ``content_hash`` of many events."""
    starts = {name: blake2b(_prefixed(name), digest_size=CONTENT_HASH_BYTES).copy for name in set(event_names)}
    states = [starts[name]() for name in event_names]
    for state, account, text in zip(states, map(str.encode, account_ids), properties, strict=True):
        state.update(_length(len(account)) + account + _length(len(text)) + text)
    return [state.digest() for state in states]


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
