"""What a process has acknowledged into usage.events, by its own count: the books compare it with what the log gave, so that records
which the log has lost show. Cumulative, written every few seconds; a process that is killed has counted some seconds less, never more.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

BUCKET_SECONDS: Final = 600
_COLUMNS: Final = {
    "writer": "String", "namespace": "LowCardinality(String)", "generation": "UInt32", "partition": "UInt32", "bucket": "DateTime('UTC')",
    "next_offset": "UInt64", "events": "UInt64",
}  # fmt: skip
_Key = tuple[str, int, int]


class Acknowledged:
    """Counts by namespace, generation and partition. Thread-safe."""

    def __init__(self, what: str) -> None:
        self._writer = f"{what} {uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._counts: dict[_Key, tuple[int, int]] = {}
        self._changed: set[_Key] = set()

    def add(self, namespace: str, generation: int, partition: int, offset: int, events: int) -> None:
        """A packed batch is in Kafka, at ``offset``."""
        key = (namespace, generation, partition)
        with self._lock:
            next_offset, before = self._counts.get(key, (0, 0))
            self._counts[key] = (max(next_offset, offset + 1), before + events)
            self._changed.add(key)

    def write(self, client: Callable[[], Any]) -> None:
        """Insert what changed since the last time; where that fails it is still to be written."""
        with self._lock:
            changed, self._changed = self._changed, set()
            counts = {key: self._counts[key] for key in changed}
        if not counts:
            return
        bucket = datetime.fromtimestamp(int(time.time()) // BUCKET_SECONDS * BUCKET_SECONDS, UTC)
        rows = [[self._writer, *key, bucket, *count] for key, count in counts.items()]
        try:
            client().insert(
                "acknowledged_events", rows, column_names=list(_COLUMNS), column_type_names=list(_COLUMNS.values())
            )
        except Exception:
            with self._lock:
                self._changed |= changed
            raise
