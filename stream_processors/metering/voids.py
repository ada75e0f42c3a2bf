"""What a void does: the counted copy that it means, once (``schemas.events.voids``). Pure; look-ups are arguments.

Everything here is a function of the log below the void's position, so a replay writes the same rows, and two owners of
a partition do too: which copies had counted before the void, and which void of one copy came first, is told by
positions alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa

from schemas.events.batch import EMPTY, UsageBatch
from schemas.events.rejections import Origin, RejectedEvent, derived_id
from schemas.events.voids import ALREADY_VOIDED, NOTHING_TO_VOID, EventVoid, encode_void
from schemas.values.instants import rfc3339
from stream_processors.metering.decide import Position, position_of
from stream_processors.metering.dedupe import Counted, Record, latest_before

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_APPENDED: Final = pa.timestamp("ms", tz="UTC")

VoidPlace = tuple[int, int]
"""(generation, offset): voids of one identity are ordered by it, as its copies are."""


class Voided(NamedTuple):
    """A void's record and the copy that it took back."""

    record: Record
    target: Counted


@dataclass(frozen=True, slots=True)
class Target:
    """What the journal knows of a voided event; ``timestamp_us`` in microseconds UTC."""

    account_id: str
    event_name: str
    timestamp_us: int
    match_profile_ids: Sequence[str]


@dataclass(slots=True)
class Settled:
    """What becomes of a flush's voids."""

    voided: list[Voided]
    rejections: list[RejectedEvent]


def blank(namespace: str) -> UsageBatch:
    """What stands in for a void where records of batches are decided: no events, of its namespace."""
    return UsageBatch(
        namespace, 0, 0, b"", b"", (), EMPTY.name_indexes, EMPTY.timestamps_us, EMPTY.account_ids,
        EMPTY.idempotency_keys, EMPTY.sources, EMPTY.properties,
    )  # fmt: skip


def void_of(record: Record) -> EventVoid:
    """The void that the record is. Raises ValueError for a record that is none."""
    if record.void is None:
        raise ValueError(f"the record at offset {record.offset} is no void")
    return record.void


def meant(record: Record, copies: Mapping[bytes, Sequence[Counted]]) -> Counted | None:
    """The last copy of the void's identity that counted before it."""
    return latest_before(copies.get(void_of(record).identity, ()), (record.generation, record.offset, 0))


def settle_voids(
    records: Sequence[Record],
    copies: Mapping[bytes, Sequence[Counted]],
    standing: Mapping[Position, VoidPlace],
    topic: str,
) -> Settled:
    """Decide a flush's voids, in log order by partition.

    ``copies``: all counted copies of their identities below them; ``standing``: by position of a copy, the first void
    of it that the journal has, which may be one of these, or one after them, where the log is read again.
    """
    first_void = dict(standing)
    settled = Settled([], [])
    for record in records:
        target = meant(record, copies)
        if target is None:
            why = (
                "no event with this key and source had counted before it; mind the source, and void once the event "
                "is accepted"
            )
            settled.rejections.append(void_rejection(record, NOTHING_TO_VOID, why, topic))
            continue
        position, void_offset = position_of(target), (record.generation, record.offset)
        earlier = first_void.get(position)
        if earlier is not None and earlier < void_offset:
            why = (
                f"the event at {_at(target)} was voided before, by the record at offset {earlier[1]} of generation "
                f"{earlier[0]}"
            )
            settled.rejections.append(void_rejection(record, ALREADY_VOIDED, why, topic))
            continue
        first_void[position] = void_offset
        settled.voided.append(Voided(record, target))
    return settled


def _at(copy: Counted) -> str:
    return f"generation {copy.generation} partition {copy.partition} offset {copy.offset} index {copy.index}"


def void_rejection(record: Record, reason: str, why: str, topic: str) -> RejectedEvent:
    """A void without effect. It stands for no event, so the books are as they were."""
    void = void_of(record)
    return RejectedEvent(
        namespace=void.namespace,
        stage="meter",
        reason=reason,
        detail=f"void by {void.author} of {rfc3339(record.append_us)} ({void.reason}): {why}",
        events=0,
        original=encode_void(void),
        received_at=record.append_us,
        rejection_id=derived_id(topic, record.partition, record.offset, 0),
        idempotency_key=void.idempotency_key,
        origin=Origin(topic, record.generation, record.partition, record.offset),
    )


def voids_table(records: Sequence[Record]) -> pa.Table:
    """The Arrow table of usage_voids."""
    voids = [void_of(record) for record in records]
    return pa.table(
        {
            "namespace": [void.namespace for void in voids],
            "source": [void.source for void in voids],
            "idempotency_key": [void.idempotency_key for void in voids],
            "identity": pa.array([void.identity for void in voids], pa.binary(16)),
            "reason": [void.reason for void in voids],
            "author": [void.author for void in voids],
            "generation": pa.array([record.generation for record in records], pa.uint32()),
            "partition": pa.array([record.partition for record in records], pa.uint32()),
            "offset": pa.array([record.offset for record in records], pa.uint64()),
            "append_time": _appended([record.append_us for record in records]),
        }
    )


def voided_table(voided: Sequence[Voided], targets: Mapping[Position, Target]) -> pa.Table:
    """The Arrow table of voided_events. Raises LookupError where the journal lacks a counted event: it is not to be
    guessed."""
    voids = [void_of(voided_event.record) for voided_event in voided]
    places = [position_of(voided_event.target) for voided_event in voided]
    if missing := [position for position in places if position not in targets]:
        raise LookupError(f"the journal has no event at {missing[0]}, which counted; it is not to be guessed")
    rows = [targets[position] for position in places]
    return pa.table(
        {
            "namespace": [void.namespace for void in voids],
            "account_id": [target.account_id for target in rows],
            "event_name": [target.event_name for target in rows],
            "timestamp": pa.array([target.timestamp_us for target in rows], pa.int64()).view(_INSTANT),
            "source": [void.source for void in voids],
            "idempotency_key": [void.idempotency_key for void in voids],
            "match_profile_ids": pa.array([list(target.match_profile_ids) for target in rows], pa.list_(pa.string())),
            "generation": pa.array([position[0] for position in places], pa.uint32()),
            "partition": pa.array([position[1] for position in places], pa.uint32()),
            "offset": pa.array([position[2] for position in places], pa.uint64()),
            "index": pa.array([position[3] for position in places], pa.uint32()),
            "append_time": _appended([voided_event.target.append_us for voided_event in voided]),
            "void_generation": pa.array([voided_event.record.generation for voided_event in voided], pa.uint32()),
            "void_partition": pa.array([voided_event.record.partition for voided_event in voided], pa.uint32()),
            "void_offset": pa.array([voided_event.record.offset for voided_event in voided], pa.uint64()),
            "void_append_time": _appended([voided_event.record.append_us for voided_event in voided]),
            "reason": [void.reason for void in voids],
            "author": [void.author for void in voids],
        }
    )


def _appended(instants_us: Sequence[int]) -> Any:
    return pa.array([us // 1000 for us in instants_us], pa.int64()).view(_APPENDED)
