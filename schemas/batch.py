"""Packed batches: the value of a usage.events record, as columns (DESIGN section 3)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.acceptance import AcceptedEvent
from schemas.codec import CodecError, codec
from schemas.identity import CONTENT_HASH_BYTES, IDENTITY_BYTES

_codec = codec("usage_batch")


@dataclass(frozen=True, slots=True)
class UsageBatch:
    """1..n events as columns of equal length ``size``. ``identities`` and ``content_hashes`` are end to end."""

    namespace: str
    catalog_offset: int
    size: int
    identities: bytes
    content_hashes: bytes
    event_names: list[str]  # one an event
    timestamps_us: array[int]  # signed 64 bit
    account_ids: list[str]
    idempotency_keys: list[str]
    sources: list[str]
    properties: list[str]

    def identity(self, index: int) -> bytes:
        """The 16 bytes of one event's identity."""
        return self.identities[index * IDENTITY_BYTES : (index + 1) * IDENTITY_BYTES]

    def content_hash(self, index: int) -> bytes:
        """The 8 bytes of one event's content hash."""
        return self.content_hashes[index * CONTENT_HASH_BYTES : (index + 1) * CONTENT_HASH_BYTES]


def encode_batch(namespace: str, catalog_offset: int, events: Sequence[AcceptedEvent]) -> bytes:
    """Pack events of one namespace and one partition, which were accepted under one catalog offset."""
    identities, hashes, names, accounts, keys, sources, stamps, properties = zip(*events, strict=True)
    dictionary = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return _codec.encode(
        {
            "namespace": namespace,
            "catalog_offset": catalog_offset,
            "identities": b"".join(identities),
            "content_hashes": b"".join(hashes),
            "event_names": list(dictionary),
            "event_name_indexes": _little("H", [dictionary[name] for name in names]),
            "timestamps": _little("q", stamps),
            "account_ids": accounts,
            "idempotency_keys": keys,
            "sources": sources if any(sources) else (),
            "properties": properties,
        }
    )


def decode_batch(data: bytes) -> UsageBatch:
    """Unpack. Raises CodecError for bytes that are no batch or whose columns differ in length."""
    record: dict[str, Any] = _codec.decode(data)
    size = len(record["properties"])
    stamps = _from_little("q", record["timestamps"])
    indexes = _from_little("H", record["event_name_indexes"])
    dictionary = record["event_names"]
    lengths = {
        "identities": len(record["identities"]) / IDENTITY_BYTES,
        "content_hashes": len(record["content_hashes"]) / CONTENT_HASH_BYTES,
        "event_name_indexes": len(indexes),
        "timestamps": len(stamps),
        "account_ids": len(record["account_ids"]),
        "idempotency_keys": len(record["idempotency_keys"]),
        "sources": len(record["sources"]) or size,
    }
    for column, length in lengths.items():
        if length != size or size == 0:
            raise CodecError(f"usage_batch: column {column} has {length:g} items, properties {size}")
    if max(indexes) >= len(dictionary):
        raise CodecError(f"usage_batch: event_name_indexes point beyond {len(dictionary)} event names")
    if len(dictionary) == 1:
        names = dictionary * size
    else:
        names = [dictionary[number] for number in indexes]
    return UsageBatch(
        record["namespace"], record["catalog_offset"], size, record["identities"], record["content_hashes"], names, stamps,
        record["account_ids"], record["idempotency_keys"], record["sources"] or [""] * size, record["properties"],
    )  # fmt: skip


_BIG_ENDIAN_MACHINE = array("H", [1]).tobytes() != b"\x01\x00"


def _little(code: str, values: Sequence[int]) -> bytes:
    column = array(code, values)
    if _BIG_ENDIAN_MACHINE:
        column.byteswap()
    return column.tobytes()


def _from_little(code: str, data: bytes) -> array[int]:
    column: array[int] = array(code)
    try:
        column.frombytes(data)
    except ValueError:
        raise CodecError(
            f"usage_batch: {len(data)} bytes are no whole number of {column.itemsize}-byte items"
        ) from None
    if _BIG_ENDIAN_MACHINE:
        column.byteswap()
    return column
