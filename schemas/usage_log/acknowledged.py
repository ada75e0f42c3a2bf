"""Counts the records that a process has acknowledged into usage.events, by offset, and stores them in
acknowledged_records.

The books compare them with what was metered, so that records lost from the log become visible. The counts are
written every few seconds; a process that is killed loses the last seconds of its count, but never counts too much.
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
"""Limit on records queued while ClickHouse is away; beyond it the oldest are dropped."""
_Place = tuple[str, int, int]


class Acknowledged:
    """Acknowledged records by namespace, generation and partition. Thread-safe."""

    def __init__(self, what: str) -> None:
        self._writer = f"{what} {uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._records: dict[_Place, dict[int, int]] = {}
        self._rows: list[list[Any]] = []
        self._waiting = 0
        self._page = 0

    def add(self, namespace: str, generation: int, partition: int, offset: int, events: int) -> None:
        """Count a packed batch, or a void (``events`` 0), at ``offset``. A negative offset is ignored: Kafka did
        not return the position."""
        if offset < 0:  # a retry of a record that was already appended is confirmed without its offset
            return
        with self._lock:
            self._records.setdefault((namespace, generation, partition), {})[offset] = events

    def write(self, client: Callable[[], Any]) -> None:
        """Insert what was added since the last call; rows whose insert failed are inserted first by the next call."""
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
