"""Copies of one event: where the counted one stands, and whether a later one is its duplicate or a conflict. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schemas.events.acceptance import same_content
from schemas.events.rejections import Origin, RejectedEvent, derived_id
from stream_processors.metering.dedupe import Counted, Drops, Place, Record
from stream_processors.metering.meter_records import DuplicateRow, Flush

CopyPosition = tuple[int, int, int, int]
EventContent = tuple[str, str, str]
StoredContents = Callable[[Sequence[CopyPosition]], Mapping[CopyPosition, EventContent]]


def content_of(record: Record, index: int) -> EventContent:
    """The content of an event that all copies under one key must share: event name, account, properties."""
    batch = record.batch
    return batch.event_name(index), batch.account_ids[index], batch.properties[index]


def position_of(counted: Counted | Place) -> CopyPosition:
    """Position (generation, partition, offset, index) of a counted copy."""
    return counted.generation, counted.partition, counted.offset, counted.index


def contents_of(
    doubtful: Sequence[DuplicateRow], undurable: Mapping[tuple[int, int, int], Record], stored: StoredContents
) -> dict[CopyPosition, EventContent]:
    """The contents of the counted copies: of records that may not be durable yet, else what is ``stored``."""
    contents: dict[CopyPosition, EventContent] = {}
    unknown: list[CopyPosition] = []
    for position in {position_of(row.dropped.first) for row in doubtful}:
        record = undurable.get(position[:3])
        if record is not None:
            contents[position] = content_of(record, position[3])
        else:
            unknown.append(position)
    return contents | dict(stored(unknown))


def settle(flush: Flush, doubtful: Sequence[DuplicateRow], contents: Mapping[CopyPosition, EventContent]) -> None:
    """Sort ``doubtful`` rows into duplicates (equal canonical content) and conflicts.

    Raises LookupError if the content of a counted copy is unknown; then nothing may be written.
    """
    for row in doubtful:
        position = position_of(row.dropped.first)
        counted = contents.get(position)
        if counted is None:
            raise LookupError(f"the journal has no event at {position}, which counted; it is not to be guessed")
        if _same(counted, content_of(row.record, row.dropped.index)):
            flush.duplicates.add(row.record, Drops.of([row.dropped], [True]))
        else:
            flush.conflicts.append(row)


def _same(counted: EventContent, second: EventContent) -> bool:
    try:
        return same_content(counted, second)
    except ValueError:
        return False


def conflict_rejection(row: DuplicateRow, topic: str) -> RejectedEvent:
    """The rejection of a conflict. Its id is derived from its position, so that writing it twice is recognised."""
    record, index, counted = row.record, row.dropped.index, row.dropped.first
    batch = record.batch
    return RejectedEvent(
        namespace=batch.namespace,
        stage="meter",
        reason="conflict",
        detail=f"the idempotency key was used before with other content, at partition {counted.partition} offset "
        f"{counted.offset} index {counted.index}; send a different event under a key of its own",
        events=1,
        original=batch.properties[index].encode(),
        received_at=record.append_us,
        rejection_id=derived_id(topic, record.partition, record.offset, index),
        account_id=batch.account_ids[index],
        event_name=batch.event_name(index),
        idempotency_key=batch.idempotency_keys[index],
        origin=Origin(topic, record.generation, record.partition, record.offset, index),
    )
