"""Judges events that producers write to usage.inbox.<namespace>: accepted under the gateway's rules, or rejected.
Pure.

A missing key, a missing timestamp and the age check are derived from the record's position and append time alone.
Reading a record twice therefore yields the same events, and deduplication drops the second copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.catalog.state import NamespaceView
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.batch import encode_batch, size_of
from schemas.events.event_types import event_types
from schemas.events.identity import partition_of
from schemas.events.raw_events import RawEvent, Refused, check_size, decode_any
from schemas.events.refused_body import Sketch, sketch, sketch_of
from schemas.events.rejections import Origin, RejectedEvent, derived_id
from schemas.kafka.codec import MARKER, AvroRecord, CodecError, codec
from schemas.kafka.limits import PACKED_BYTES
from schemas.values.instants import instant
from schemas.values.json_text import exact
from schemas.values.record_copy import replace
from stream_processors.fetching.bounded import RefusedBatch

BATCH_EVENTS = 500
NOT_READ: Final = "not_read"
"""Rejection reason of a compressed batch that is corrupt or too large to decompress."""


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """A Kafka record of an inbox; ``append_us``: LogAppendTime in microseconds UTC."""

    topic: str
    namespace: str
    partition: int
    offset: int
    append_us: int
    value: bytes


@dataclass(frozen=True, slots=True)
class AdmittedRecord:
    """Outcome of one inbox record: either its accepted events, or the rejection of the whole record."""

    record: InboxRecord
    events: Sequence[AcceptedEvent]
    rejection: RejectedEvent | None


def admit(record: InboxRecord, view: NamespaceView) -> AdmittedRecord:
    """Judge one inbox record. Its value is Avro single-object ``UsageEvent`` or ``UsageEvents``, or JSON: one
    event, a list, or ``{"events": […]}``."""
    if isinstance(record.value, RefusedBatch):
        return AdmittedRecord(record, (), _not_read(record, record.value))
    avro: list[AvroRecord] = []
    try:
        if record.value.startswith(MARKER):
            avro = _avro_records(record.value)
            raws = [_raw_event(avro_event, index) for index, avro_event in enumerate(avro)]
        else:
            raws = decode_any(record.value)
        if not view.known:
            raise Refused(
                "unknown_namespace", "$", f"namespace {record.namespace} is not declared; apply it to the catalog"
            )
        events = accept(
            record.namespace,
            view.settings,
            raws,
            now_us=record.append_us,
            mint_key=lambda index: f"{record.topic}/{record.partition}/{record.offset}/{index}",
            types=event_types(view),
        )
        # A missing timestamp was set to the broker's append time, so it was not dated by a gateway's clock.
        return AdmittedRecord(record, [event._replace(dated=False) if event.dated else event for event in events], None)
    except Refused as refused:
        if avro:
            refused_body = sketch_of([_json(avro_event) for avro_event in avro], refused.index, view.settings)
        else:
            refused_body = sketch(record.value, refused.index, view.settings, single=record.value.startswith(MARKER))
        return AdmittedRecord(record, (), _rejection(record, refused, refused_body))


InboxEntry = tuple[InboxRecord, int, AcceptedEvent]
"""An inbox record, the index of an event in it, and that accepted event."""


@dataclass(frozen=True, slots=True)
class PackedEvents:
    """An encoded batch for one ``partition`` of usage.events, and the entries that it contains."""

    partition: int
    value: bytes
    entries: Sequence[InboxEntry]


def entries_of(admitted: Sequence[AdmittedRecord]) -> list[InboxEntry]:
    """All accepted events in order."""
    return [
        (admitted_record.record, index, event)
        for admitted_record in admitted
        for index, event in enumerate(admitted_record.events)
    ]


def pack_entries(
    entries: Sequence[InboxEntry],
    partitions: int,
    catalog_offset: int,
    *,
    events: int = BATCH_EVENTS,
    size: int = PACKED_BYTES,
) -> list[PackedEvents]:
    """Encode entries into batches of at most ``events`` events and ``size`` bytes (but at least one event), in
    order within each partition."""
    groups: dict[tuple[int, str], list[InboxEntry]] = {}
    for entry in entries:
        groups.setdefault((partition_of(entry[2].identity, partitions), entry[0].namespace), []).append(entry)
    return [
        PackedEvents(partition, encode_batch(namespace, catalog_offset, [entry[2] for entry in part]), part)
        for (partition, namespace), group in groups.items()
        for part in _cut(group, events, size)
    ]


def _cut(group: Sequence[InboxEntry], events: int, size: int) -> Iterator[list[InboxEntry]]:
    part: list[InboxEntry] = []
    bytes_taken = 0
    for entry in group:
        length = size_of(entry[2])
        if part and (len(part) >= events or bytes_taken + length > size):
            yield part
            part, bytes_taken = [], 0
        part.append(entry)
        bytes_taken += length
    if part:
        yield part


def not_taken(entry: InboxEntry, limit: int) -> RejectedEvent:
    """Rejection of an accepted event that exceeds the record limit of usage.events (``limit`` bytes) by itself."""
    record, index, event = entry
    detail = (
        f"the event takes {size_of(event)} bytes, and usage.events takes records of {limit}: raise "
        "max.message.bytes, and replay it"
    )
    refused = Refused("too_large", f"$.events[{index}]", detail, index)
    sketch = Sketch(1, event.account_id, event.event_name, event.idempotency_key)
    return replace(
        _rejection(record, refused, sketch),
        rejection_id=derived_id(record.topic, record.partition, record.offset, index),
    )


def _avro_records(value: bytes) -> list[AvroRecord]:
    """The events of an Avro value (a batch or a single event). Raises Refused."""
    batch_codec = codec("usage_events")
    try:
        if not batch_codec.knows(value):
            return [codec("usage_event").decode(value)]
        records: list[AvroRecord] = batch_codec.decode(value)["events"]
    except CodecError as error:
        raise Refused("malformed", "$", str(error)) from None
    check_size(len(records))
    return records


def _raw_event(record: AvroRecord, index: int) -> RawEvent:
    stamp = record["timestamp"]
    try:
        timestamp = None if stamp is None else instant(stamp)
    except OverflowError:
        raise Refused("invalid", f"$.events[{index}].timestamp", f"{stamp} µs is no instant", index) from None
    properties = record["properties"].strip()
    try:
        exact(properties)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid", f"$.events[{index}].properties", f"not JSON: {error}", index) from None
    return RawEvent(
        event_name=record["event_name"],
        properties=msgspec.Raw(properties.encode()),
        account_id=record["account_id"],
        idempotency_key=record["idempotency_key"],
        timestamp=timestamp,
        source=record["source"],
    )


def _json(record: AvroRecord) -> bytes:
    """The fields of an Avro record that identify the event, as JSON text."""
    return msgspec.json.encode({name: record[name] for name in ("account_id", "event_name", "idempotency_key")})


def _not_read(record: InboxRecord, batch: RefusedBatch) -> RejectedEvent:
    which = f"offsets {batch.first} to {record.offset}" if batch.first < record.offset else f"offset {record.offset}"
    refused = Refused(
        NOT_READ,
        "$",
        f"the records at {which} were not read: {batch.why}; write smaller batches, or raise WEIR_KAFKA_RECORD_BYTES "
        "and replay",
    )
    return _rejection(record, refused, Sketch(batch.records))


def _rejection(record: InboxRecord, refused: Refused, sketch: Sketch) -> RejectedEvent:
    return RejectedEvent(
        namespace=record.namespace,
        stage="admit",
        reason=refused.reason,
        detail=str(refused),
        events=sketch.events,
        original=record.value,
        received_at=record.append_us,
        rejection_id=derived_id(record.topic, record.partition, record.offset, 0),
        account_id=sketch.account_id,
        event_name=sketch.event_name,
        idempotency_key=sketch.idempotency_key,
        origin=Origin(record.topic, 0, record.partition, record.offset, refused.index or 0),
    )
