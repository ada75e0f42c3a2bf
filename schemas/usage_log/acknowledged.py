"""Counts the records that a process has acknowledged into usage.events, by offset, and stores them in
acknowledged_records.

The books compare them with what was metered, so that records lost from the log become visible. The counts are
written every few seconds; a process that is killed loses the last seconds of its count, but never counts too much.

A log that lost its end puts new records at offsets that were taken before, and no worker reads those below the cursor:
such a record is not counted, and must not be acknowledged. Its sender tries again, until it lies above the cursor.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.kafka.topics import events_topic

log = logging.getLogger(__name__)

_COLUMNS: Final = {
    "generation": "UInt32", "partition": "UInt32", "from_offset": "UInt64", "writer": "String", "page": "UInt64",
    "namespace": "LowCardinality(String)", "offsets": "Array(UInt64)", "events": "Array(UInt32)",
}  # fmt: skip
KEPT: Final = 1_000_000
"""Limit on records queued while ClickHouse is away; beyond it the oldest are dropped."""
_Partition = tuple[int, int]
_Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class TakenBefore:
    """What a process knows of a partition before it produces a record: ``placed``, the offset after its last
    acknowledged record, and ``metered``, the cursor. An intact log puts the record at these or above."""

    placed: int = 0
    metered: int = 0


NOTHING_TAKEN: Final = TakenBefore()
ReadCursors = Callable[[int], Mapping[int, int]]
"""Reads the present cursors of a generation, partition → offset."""


class Acknowledged:
    """Acknowledged records by namespace, generation and partition. Thread-safe. ``cursors``: asked once when a log is
    seen to have gone back, since the last cursors known may be seconds old."""

    def __init__(self, what: str, cursors: ReadCursors = lambda _: {}) -> None:
        self._writer = f"{what} {uuid.uuid4().hex}"
        self._cursors = cursors
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._records: dict[_Place, dict[int, int]] = {}
        self._rows: list[list[Any]] = []
        self._waiting = 0
        self._page = 0
        self._placed: dict[_Partition, int] = {}
        self._metered: dict[_Partition, int] = {}
        self._went_back: dict[_Partition, tuple[int, int]] = {}

    def metered(self, generation: int, cursors: Mapping[int, int]) -> None:
        """Everything below the cursors (partition → offset) of a generation is metered."""
        with self._lock:
            for partition, cursor in cursors.items():
                log_partition = generation, partition
                self._metered[log_partition] = max(self._metered.get(log_partition, 0), cursor)

    def taken(self, generation: int, partition: int) -> TakenBefore:
        """What is known of a partition; ask before a record is produced."""
        log_partition = generation, partition
        return TakenBefore(self._placed.get(log_partition, 0), self._metered.get(log_partition, 0))

    def add(
        self,
        namespace: str,
        generation: int,
        partition: int,
        offset: int,
        events: int,
        taken: TakenBefore = NOTHING_TAKEN,
    ) -> str | None:
        """Count a packed batch, or a void (``events`` 0), at ``offset``. ``taken``: of before it was produced.

        Returns None, or why the record must not be acknowledged; then it is not counted. A negative offset is ignored:
        Kafka did not return the position.
        """
        if offset < 0:  # a retry of a record that was already appended is confirmed without its offset
            return None
        log_partition = generation, partition
        if offset < max(taken.placed, taken.metered):
            cursor = self._cursor_of_shortened(log_partition, taken, offset)
            if offset < cursor:
                return (
                    f"{events_topic(generation)} partition {partition} put a record at offset {offset}, although all "
                    f"below {cursor} is metered: it lost its end or was made anew, and nobody will meter the record"
                )
        with self._lock:
            self._placed[log_partition] = max(self._placed.get(log_partition, 0), offset + 1)
            self._records.setdefault((namespace, *log_partition), {})[offset] = events
        return None

    def _cursor_of_shortened(self, log_partition: _Partition, taken: TakenBefore, offset: int) -> int:
        """The cursor of a log that went back; no worker moves it until the log has grown beyond it again."""
        generation, partition = log_partition
        placed = self._placed.get(log_partition, 0)  # what is put below it does not change it
        seen_at, cursor = self._went_back.get(log_partition, (-1, 0))
        if seen_at != placed:
            try:
                self.metered(generation, self._cursors(generation))
            except Exception as error:  # what is acknowledged below it shows as lost, and can be carried over
                log.warning("the cursors are not known: %s", error)
            cursor = self._metered.get(log_partition, 0)
            self._went_back[log_partition] = placed, cursor
            log.error(
                "%s partition %d put a record at offset %d, although all below %d was taken before: it lost its "
                "end or was made anew. What it puts below the cursor, %d, is not acknowledged",
                events_topic(generation),
                partition,
                offset,
                max(taken.placed, taken.metered),
                cursor,
            )
        return max(taken.metered, cursor)

    @property
    def waiting(self) -> bool:
        """Whether anything was added that is not written yet."""
        return bool(self._records or self._rows)

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
