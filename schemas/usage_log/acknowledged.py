"""What a process has acknowledged into usage.events, record by record and by its own count: the books compare it with
what was metered, so that records which the log has lost show, each at its offset. Written every few seconds; a process
that is killed has counted some seconds less, never more.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any, Final

_COLUMNS: Final = {
    "generation": "UInt32", "partition": "UInt32", "from_offset": "UInt64", "writer": "String", "page": "UInt64",
    "namespace": "LowCardinality(String)", "offsets": "Array(UInt64)", "events": "Array(UInt32)",
}  # fmt: skip
KEPT: Final = 1_000_000
"""Records that wait while ClickHouse is away; of more, the oldest are not counted."""
_Place = tuple[str, int, int]


class Acknowledged:
    """Records by namespace, generation and partition. Thread-safe."""

    def __init__(self, what: str) -> None:
        self._writer = f"{what} {uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._records: dict[_Place, dict[int, int]] = {}
        self._rows: list[list[Any]] = []
        self._waiting = 0
        self._page = 0

    def add(self, namespace: str, generation: int, partition: int, offset: int, events: int) -> None:
        """A packed batch, or a void (``events`` 0), is in Kafka at ``offset``; below 0: Kafka did not say where, and it
        is not counted."""
        if offset < 0:  # a retry of what was appended before is confirmed without its place
            return
        with self._lock:
            self._records.setdefault((namespace, generation, partition), {})[offset] = events

    def write(self, client: Callable[[], Any]) -> None:
        """Insert what was added since the last time; where that fails the same rows are inserted first the next
        time."""
        with self._writing:
            self._write(client)

    def _write(self, client: Callable[[], Any]) -> None:
        with self._lock:
            records, self._records = self._records, {}
        for (namespace, generation, partition), counts in records.items():
            offsets = sorted(counts)
            self._page += 1
            row = [generation, partition, offsets[0], self._writer, self._page, namespace, offsets]
            self._rows.append([*row, [counts[offset] for offset in offsets]])
            self._waiting += len(offsets)
        while self._waiting > KEPT and len(self._rows) > 1:
            self._waiting -= len(self._rows.pop(0)[-1])
        if not self._rows:
            return
        client().insert(
            "acknowledged_records", self._rows, column_names=list(_COLUMNS), column_type_names=list(_COLUMNS.values())
        )
        self._rows, self._waiting = [], 0
