"""Packed batches: the value of a usage.events record, stored as columns (DESIGN section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from struct import pack
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.events.acceptance import AcceptedEvent
from schemas.events.accepted_columns import AcceptedColumns
from schemas.events.identity import CONTENT_HASH_BYTES, IDENTITY_BYTES
from schemas.kafka.codec import AvroRecord, CodecError, codec, long, sized
from schemas.values.text_columns import Texts, packed, packed_bytes

_codec = codec("usage_batch")
_NAME_INDEX: Final = np.dtype("<u2")
_STAMP: Final = np.dtype("<i8")
_END: Final = b"\x00"  # of an array; an empty one by itself
# Identity, content hash, timestamp, name index, and the lengths of the text columns with the name's prefix.
_FIXED_BYTES: Final = 16 + 8 + 8 + 2 + 4 * 4 + 2
_ROUNDS: Final = 3  # the first schema version whose batches are measured with rounded numbers


@dataclass(frozen=True, slots=True, eq=False)
class UsageBatch:
    """One or more events as columns of length ``size``; ``identities`` and ``content_hashes`` are concatenated."""

    namespace: str
    catalog_offset: int
    size: int
    identities: bytes
    content_hashes: bytes
    names: tuple[str, ...]  # dictionary of event names
    name_indexes: NDArray[np.uint16]  # for each event its index in names
    timestamps_us: NDArray[np.int64]
    account_ids: Texts
    idempotency_keys: Texts
    sources: Texts
    properties: Texts
    dated: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))
    """Ascending indexes of the events that were dated by a gateway's clock, since they had no timestamp."""
    rounds: bool = True
    """Whether numbers with more than 12 decimals are rounded (``quantity``). Determined by the batch's schema version,
    so that every metering of it follows the rule of the release that packed it."""

    def identity(self, index: int) -> bytes:
        """The 16 bytes of one event's identity."""
        return self.identities[index * IDENTITY_BYTES : (index + 1) * IDENTITY_BYTES]

    def content_hash(self, index: int) -> bytes:
        """The 8 bytes of one event's content hash."""
        return self.content_hashes[index * CONTENT_HASH_BYTES : (index + 1) * CONTENT_HASH_BYTES]

    def event_name(self, index: int) -> str:
        """The name of one event."""
        return self.names[int(self.name_indexes[index])]

    def events(self) -> list[AcceptedEvent]:
        """The events as they were packed."""
        dated = set(self.dated.tolist())
        return [
            AcceptedEvent(
                self.identity(index), self.content_hash(index), self.event_name(index), self.account_ids[index],
                self.idempotency_keys[index], self.sources[index], int(self.timestamps_us[index]),
                self.properties[index], index in dated,
            )
            for index in range(self.size)
        ]  # fmt: skip


_EMPTY_TEXTS: Final = Texts.of(())
EMPTY: Final = UsageBatch(
    "",
    0,
    0,
    b"",
    b"",
    (),
    np.zeros(0, np.uint16),
    np.zeros(0, np.int64),
    _EMPTY_TEXTS,
    _EMPTY_TEXTS,
    _EMPTY_TEXTS,
    _EMPTY_TEXTS,
)
"""Used in place of a record that is not a batch: no events."""


def size_of(event: AcceptedEvent) -> int:
    """Upper limit of the bytes that the event takes in a packed batch (its name counts as if it were not shared)."""
    _, _, name, account, key, source, _, properties, *_ = event
    size = _FIXED_BYTES
    for text in (name, account, key, source, properties):
        size += len(text) if text.isascii() else len(text.encode())
    return size


class EncodedPart(NamedTuple):
    """Some of a batch's events, as the bytes that its columns have of them."""

    names: Sequence[str]
    dated: Sequence[int]
    """Indexes in the part of the events that were dated by a gateway's clock."""
    identities: bytes
    content_hashes: bytes
    timestamps: bytes
    accounts: tuple[bytes, bytes]
    keys: tuple[bytes, bytes]
    sources: tuple[bytes, bytes]
    properties: tuple[bytes, bytes]

    def size(self) -> int:
        """Upper limit of the bytes that the events take in a packed batch; the sum of their ``size_of``."""
        return (
            _FIXED_BYTES * len(self.names)
            + len("".join(self.names).encode())
            + len(self.accounts[0])
            + len(self.keys[0])
            + len(self.sources[0])
            + len(self.properties[0])
        )


def encode_part(events: AcceptedColumns) -> EncodedPart:
    """The events as part of a batch."""
    return EncodedPart(
        events.names,
        [index for index, dated in enumerate(events.dated) if dated],
        b"".join(events.identities),
        b"".join(events.content_hashes),
        pack(f"<{len(events)}q", *events.timestamps_us),
        packed(events.accounts),
        packed(events.keys),
        packed(events.sources),
        packed_bytes(events.properties),
    )


def encode_batch(namespace: str, catalog_offset: int, events: Sequence[AcceptedEvent]) -> bytes:
    """Pack events of one namespace and partition that were accepted under one catalog offset."""
    return join_parts(namespace, catalog_offset, [encode_part(AcceptedColumns.of(events))])


def join_parts(namespace: str, catalog_offset: int, parts: Sequence[EncodedPart]) -> bytes:
    """The batch of all parts' events, one part after the other; see ``encode_batch``."""
    part_names, part_dated, identities, content_hashes, timestamps, *columns = zip(*parts, strict=True)
    names = list(chain.from_iterable(part_names))
    distinct = list(dict.fromkeys(names))
    numbers = {name: number for number, name in enumerate(distinct)}
    dated: list[int] = []
    begin = 0
    for theirs, indexes in zip(part_names, part_dated, strict=True):
        dated += [begin + index for index in indexes] if begin else indexes
        begin += len(theirs)
    accounts, keys, sources, properties = (list(map(b"".join, zip(*column, strict=True))) for column in columns)
    if not sources[0]:
        sources[1] = b""  # as many blanks as there are events
    return b"".join([
        _codec.header,
        sized(namespace.encode()),
        long(catalog_offset),
        sized(b"".join(identities)),
        sized(b"".join(content_hashes)),
        long(len(distinct)), *[sized(name.encode()) for name in distinct], _END,
        sized(bytes(2 * len(names)) if len(distinct) == 1 else _shorts([numbers[name] for name in names])),
        sized(b"".join(timestamps)),
        _END * 4,  # the text columns of version 1
        *map(sized, (*accounts, *keys, *sources, *properties, _shorts(dated))),
    ])  # fmt: skip


def _shorts(numbers: Sequence[int]) -> bytes:
    return pack(f"<{len(numbers)}H", *numbers)


def decode_batch(value: bytes) -> UsageBatch:
    """Unpack a batch. Raises CodecError if the bytes are not a batch, or if its columns differ in length."""
    record = _codec.decode(value)
    properties = _texts(record, "properties", "properties", 0)
    size = len(properties)
    batch = UsageBatch(
        record["namespace"], record["catalog_offset"], size, record["identities"], record["content_hashes"],
        tuple(record["event_names"]), _numbers(record, "event_name_indexes", _NAME_INDEX),
        _numbers(record, "timestamps", _STAMP), _texts(record, "account_ids", "account_id", 0),
        _texts(record, "idempotency_keys", "idempotency_key", 0), _texts(record, "sources", "source", size), properties,
        _numbers(record, "dated", _NAME_INDEX), _codec.version(value) >= _ROUNDS,
    )  # fmt: skip
    lengths = {
        "identities": len(batch.identities) / IDENTITY_BYTES,
        "content_hashes": len(batch.content_hashes) / CONTENT_HASH_BYTES,
        "event_name_indexes": len(batch.name_indexes),
        "timestamps": len(batch.timestamps_us),
        "account_ids": len(batch.account_ids),
        "idempotency_keys": len(batch.idempotency_keys),
        "sources": len(batch.sources),
    }
    for column, length in lengths.items():
        if length != size or size == 0:
            raise CodecError(f"usage_batch: column {column} has {length:g} items, properties {size}")
    if int(batch.name_indexes.max()) >= len(batch.names):
        raise CodecError(f"usage_batch: event_name_indexes point beyond {len(batch.names)} event names")
    if len(batch.dated) and (int(batch.dated.max()) >= size or (np.diff(batch.dated.astype(np.int64)) <= 0).any()):
        raise CodecError(f"usage_batch: dated holds indexes that are not ascending below {size}")
    return batch


def _texts(record: AvroRecord, old_field: str, name: str, blank: int) -> Texts:
    """A text column; ``old_field``: its field in schema version 1. A column without text means ``blank`` empty
    strings."""
    if record[old_field]:
        return Texts.of(record[old_field])
    lengths = record[f"{name}_lengths"] or bytes(4 * blank)
    try:
        return Texts.unpacked(record[f"{name}_text"] or b"", lengths)
    except ValueError as error:
        raise CodecError(f"usage_batch: column {old_field}: {error}") from None


def _numbers(record: AvroRecord, column: str, kind: np.dtype[Any]) -> NDArray[Any]:
    data = record[column] or b""  # fastavro returns the default of a missing bytes field as text
    if len(data) % kind.itemsize:
        raise CodecError(f"usage_batch: {column}: {len(data)} bytes are no whole number of {kind.itemsize}-byte items")
    return np.frombuffer(data, kind)
