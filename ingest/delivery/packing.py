"""Packs the accepted events of many requests into batches by partition. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import numpy as np

from schemas.events.acceptance import AcceptedEvent
from schemas.events.accepted_columns import AcceptedColumns
from schemas.events.batch import EncodedPart, encode_part
from schemas.events.identity import IDENTITY_BYTES, partition_of
from schemas.kafka.limits import PACKED_BYTES

MAX_EVENTS: Final = 500
MAX_BYTES: Final = PACKED_BYTES
LINGER: Final = 0.005
_HEAD: Final = np.dtype(">u4")
_MANY: Final = 24  # identities from which on an array pays
Ticket = TypeVar("Ticket")


@dataclass(slots=True)
class Packed(Generic[Ticket]):
    """A batch of events of one namespace, catalog offset and partition, in order of arrival, with the requests they
    belong to."""

    namespace: str
    catalog_offset: int
    partition: int
    due: float  # monotonic seconds at which the linger ends
    size: int = 0
    count: int = 0
    parts: list[EncodedPart] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)  # each request once


class Packer(Generic[Ticket]):
    """Collects events until a batch is full (500 events or 256 KiB) or 5 ms old.

    At most one batch is open per (namespace, partition), so events of one partition are produced in order of
    arrival.
    """

    def __init__(
        self, partitions: int, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES, linger: float = LINGER
    ) -> None:
        self._partitions = partitions
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._linger = linger
        self._open: dict[tuple[str, int], Packed[Ticket]] = {}

    def add(
        self, namespace: str, catalog_offset: int, events: Sequence[AcceptedEvent], ticket: Ticket, now: float
    ) -> tuple[int, list[Packed[Ticket]]]:
        """Add a request's events. Returns the number of batches that contain one of them, and the batches that
        became full."""
        closed: list[Packed[Ticket]] = []
        events = AcceptedColumns.of(events)
        partitions = partitions_of(events.identities, self._partitions)
        if len(partitions) == 1:
            return self._add(namespace, catalog_offset, partitions[0], events, ticket, now, closed), closed
        indexes: dict[int, list[int]] = {}
        for index, partition in enumerate(partitions):
            indexes.setdefault(partition, []).append(index)
        parts = 0
        for partition, theirs in indexes.items():
            parts += self._add(namespace, catalog_offset, partition, events.part(theirs), ticket, now, closed)
        return parts, closed

    def _add(
        self,
        namespace: str,
        offset: int,
        partition: int,
        events: AcceptedColumns,
        ticket: Ticket,
        now: float,
        closed: list[Packed[Ticket]],
    ) -> int:
        """Add a request's events of one partition; returns the number of batches that contain one of them."""
        parts = 0
        waiting = [events]
        while waiting:
            events = waiting.pop()
            count = len(events)
            part = encode_part(events)
            size = part.size()
            if count > 1 and not self._fits(namespace, offset, partition, count, size):
                # Halves go where the whole would not, each in its turn, down to an event by itself.
                waiting += (events[count // 2 :], events[: count // 2])
                continue
            batch = self._room(namespace, offset, partition, size, now, closed)
            if not batch.tickets or batch.tickets[-1] is not ticket:
                batch.tickets.append(ticket)
                parts += 1
            batch.parts.append(part)
            batch.count += count
            batch.size += size
            if batch.count >= self._max_events or batch.size >= self._max_bytes:
                closed.append(self._open.pop((namespace, partition)))
        return parts

    def _fits(self, namespace: str, offset: int, partition: int, count: int, size: int) -> bool:
        """Whether so many events go into one batch, the open one if there is one."""
        batch = self._open.get((namespace, partition))
        if batch is not None and batch.catalog_offset == offset:
            count += batch.count
            size += batch.size
        return count <= self._max_events and size <= self._max_bytes

    def _room(
        self, namespace: str, offset: int, partition: int, size: int, now: float, closed: list[Packed[Ticket]]
    ) -> Packed[Ticket]:
        partition_key = (namespace, partition)
        batch = self._open.get(partition_key)
        if batch is not None and (batch.catalog_offset != offset or batch.size + size > self._max_bytes):
            closed.append(self._open.pop(partition_key))
            batch = None
        if batch is None:
            batch = self._open[partition_key] = Packed(namespace, offset, partition, now + self._linger)
        return batch

    def next_due(self) -> float | None:
        """Monotonic seconds at which the oldest open batch is due; None if none is open."""
        # Dicts keep insertion order and all batches linger equally long, so the first is the oldest.
        return next((batch.due for batch in self._open.values()), None)

    def close_due(self, now: float) -> list[Packed[Ticket]]:
        """Close and return the batches that are due."""
        return [self._open.pop(partition_key) for partition_key, batch in list(self._open.items()) if batch.due <= now]

    def close_all(self) -> list[Packed[Ticket]]:
        """Close and return all open batches."""
        batches = list(self._open.values())
        self._open.clear()
        return batches


def partitions_of(identities: Sequence[bytes], partitions: int) -> list[int]:
    """The ``partition_of`` many identities."""
    if len(identities) < _MANY:
        return [partition_of(identity_bytes, partitions) for identity_bytes in identities]
    heads = np.frombuffer(b"".join(identities), _HEAD)[:: IDENTITY_BYTES // _HEAD.itemsize]
    return list((heads.astype(np.int64) * partitions >> 32).tolist())
