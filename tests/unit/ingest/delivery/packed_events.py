"""The events of a packed batch, read back from the record that it becomes."""

from __future__ import annotations

from typing import Any

from ingest.delivery.packing import Packed
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import decode_batch, join_parts


def events_of(packed: Packed[Any]) -> list[AcceptedEvent]:
    batch = decode_batch(join_parts(packed.namespace, packed.catalog_offset, packed.parts))
    assert (batch.namespace, batch.catalog_offset, batch.size) == (
        packed.namespace,
        packed.catalog_offset,
        packed.count,
    )
    return batch.events()
