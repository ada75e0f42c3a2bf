"""Deletes cursors that a partition has passed. A flush adds a row a partition to usage_progress, and who asks for the
cursor, as a worker does several times a second, reads all of them: after ten days of a flush a second 66 ms of CPU each
time, where a few thousand rows take 2."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Final

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import in_partition
from stream_processors.metering.journal import Journal

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 900.0
_FIRST_LOOK_SECONDS: Final = 60.0
KEPT_ROWS: Final = 1_000
"""Fewer rows of a partition are left alone: each deletion rewrites parts."""


def crowded(rows: Iterable[tuple[int, int, int, int]]) -> list[tuple[int, int, int]]:
    """(generation, partition, cursor) of the partitions with more rows than are kept, out of (generation, partition,
    cursor, rows)."""
    return [(generation, partition, cursor) for generation, partition, cursor, count in rows if count > KEPT_ROWS]


class PastCursors:
    """The rows of usage_progress below the cursors. Several workers may delete them at once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._look_at = time.monotonic() + _FIRST_LOOK_SECONDS

    def due(self) -> bool:
        """Whether the next look is due."""
        return time.monotonic() >= self._look_at

    def delete(self) -> list[tuple[int, int, int]]:
        """Delete them where there are many; returns (generation, partition, cursor) of those partitions. Raises
        Stopping."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        rows = self._journal.query(
            "count the cursors",
            "SELECT generation, partition, max(next_offset), count() FROM usage_progress GROUP BY 1, 2",
        )
        deleted = crowded((row[0], row[1], row[2], row[3]) for row in rows)
        for generation, partition, cursor in deleted:
            bind = Binder()
            of_partition = in_partition(generation, partition, bind)
            stands = bind("cursor", "UInt64", cursor)
            self._journal.command(
                f"delete past cursors of partition {partition}",
                # Only where the cursor is there as the rows below it go: the call may be repeated on a ClickHouse that
                # was restored from an older copy meanwhile, whose cursor is one of those rows.
                f"ALTER TABLE usage_progress DELETE WHERE {of_partition} AND next_offset < {stands}"
                f" AND (SELECT count() FROM usage_progress WHERE {of_partition} AND next_offset = {stands}) > 0",
                bind.parameters,
            )
        return deleted
