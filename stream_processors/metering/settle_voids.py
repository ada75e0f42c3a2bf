"""The effect of void records: each voids the last counted copy of its identity, once (``schemas.events.voids``).
Pure; results of lookups are arguments.

Everything here is a function of the log below the void's position, since positions alone decide which copies
counted before the void and which of several voids came first. A replay, or two owners of a partition, therefore
write the same rows.
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
from stream_processors.metering.dedupe import Counted, Record, latest_before
from stream_processors.metering.event_copies import CopyPosition, position_of

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_APPENDED: Final = pa.timestamp("ms", tz="UTC")

VoidPlace = tuple[int, int]
"""(generation, offset) of a void. An identity's voids and copies are all in one partition, so this orders them."""


class Voided(NamedTuple):
    """A void's record and the counted copy that it voids."""

    record: Record
    target: Counted


@dataclass(frozen=True, slots=True)
class Target:
    """A voided event as stored in the journal; ``timestamp_us`` in microseconds UTC."""

    account_id: str
    event_name: str
    timestamp_us: int
    match_profile_ids: Sequence[str]


@dataclass(slots=True)
class Settled:
    """The outcome of a flush's voids."""

    voided: list[Voided]
    rejections: list[RejectedEvent]


def void_batch(namespace: str) -> UsageBatch:
    """An empty batch of ``namespace``, used as the batch of a void's record."""
    return UsageBatch(
        namespace, 0, 0, b"", b"", (), EMPTY.name_indexes, EMPTY.timestamps_us, EMPTY.account_ids,
        EMPTY.idempotency_keys, EMPTY.sources, EMPTY.properties,
    )  # fmt: skip


def void_of(record: Record) -> EventVoid:
    """The void in a record. Raises ValueError if it contains none."""
    if record.void is None:
        raise ValueError(f"the record at offset {record.offset} is no void")
    return record.void


def voided_copy(record: Record, copies: Mapping[bytes, Sequence[Counted]]) -> Counted | None:
    """The copy that a void refers to: the last one of its identity that counted before it. None if there is none."""
    return latest_before(copies.get(void_of(record).identity, ()), (record.generation, record.offset, 0))


def settle_voids(
    records: Sequence[Record],
    copies: Mapping[bytes, Sequence[Counted]],
    standing: Mapping[CopyPosition, VoidPlace],
    topic: str,
) -> Settled:
    """Decide a flush's voids, given in log order within each partition.

    ``copies``: all counted copies of their identities below them. ``standing``: by position of a copy, its first
    void in the journal; if the log is read again this may be one of ``records`` or a later one.
    """
    first_void = dict(standing)
    settled = Settled([], [])
    for record in records:
        target = voided_copy(record, copies)
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
    """The rejection of a void without effect. It counts as zero events, so the books are unchanged."""
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


def voided_table(voided: Sequence[Voided], targets: Mapping[CopyPosition, Target]) -> pa.Table:
    """The Arrow table of voided_events. Raises LookupError if the journal lacks a voided event; nothing is guessed."""
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
