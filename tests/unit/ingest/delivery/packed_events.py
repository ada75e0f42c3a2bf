"""The events of a packed batch, read back from the record that it becomes."""

from __future__ import annotations

from typing import Any

from ingest.delivery.packing import Packed
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import decode_batch


def events_of(packed: Packed[Any]) -> list[AcceptedEvent]:
    batch = decode_batch(packed.encoded())
    assert (batch.namespace, batch.catalog_offset, batch.size) == (
        packed.namespace,
        packed.catalog_offset,
        packed.count,
    )
    return [
        AcceptedEvent(
            batch.identity(index), batch.content_hash(index), batch.event_name(index), batch.account_ids[index],
            batch.idempotency_keys[index], batch.sources[index], int(batch.timestamps_us[index]),
            batch.properties[index], index in batch.dated,
        )
        for index in range(batch.size)
    ]  # fmt: skip
