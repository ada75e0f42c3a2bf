"""A meter without Kafka or ClickHouse, at a cursor, and records to prepare."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from schemas.catalog.state import Catalog
from schemas.events.batch import encode_batch
from schemas.settings import Settings
from stream_processors.metering.bloom import DailyFilters
from stream_processors.metering.dedupe import PartitionMemory
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.metered_topic import MeteredTopic, RawRecord
from tests.unit.stream_processors.metering.builders import event


class Asked:
    """A meter of partition 0 at cursor 5, whose seeks are noted; ``log_start`` is where the log begins."""

    def __init__(self, log_start: int = 0) -> None:
        self.seeks: list[tuple[int, int]] = []
        catalog: Any = SimpleNamespace(catalog=Catalog(), wait_for=lambda offset, timeout: True)
        rejected: Any = None  # prepare writes nothing
        topic = MeteredTopic(
            name="usage.events.1",
            partitions=4,
            seek=lambda partition, cursor: self.seeks.append((partition, cursor)),
            log_start=lambda partition: log_start,
        )
        self.meter = UnitMeter(Settings(), topic, catalog, rejected, threading.Event())
        self.meter._memories[0] = PartitionMemory(1, 0, 5, DailyFilters())

    def prepare(self, *records: RawRecord):
        return self.meter.prepare(records, None)


def record(offset: int, value: bytes | None = None) -> RawRecord:
    batch = value if value is not None else encode_batch("default", 0, [event(offset, 0)])
    return RawRecord(0, offset, 1_000_000 * offset, batch)
