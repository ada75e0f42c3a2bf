"""The books balance, as of one instant of the log."""

from __future__ import annotations

import time
from typing import Final

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Scope

_SQL: Final = """
SELECT namespace, sum(accepted), sum(metered), sum(unmatched), sum(duplicates), sum(conflicts) FROM (
    SELECT toString(namespace) AS namespace, sum(events) AS accepted, 0 AS metered, 0 AS unmatched, 0 AS duplicates, 0
        AS conflicts
    FROM usage_batches FINAL WHERE {metered} GROUP BY namespace
    UNION ALL
    SELECT toString(namespace), 0, countIf(length(match_profile_ids) > 0), countIf(length(match_profile_ids) = 0), 0, 0
    FROM usage_events FINAL WHERE {metered} GROUP BY namespace
    UNION ALL
    SELECT toString(namespace), 0, 0, 0, count(), 0 FROM duplicate_events FINAL WHERE {metered} GROUP BY namespace
    UNION ALL
    SELECT toString(namespace), 0, 0, 0, 0, sum(events) FROM (
        SELECT namespace, events, origin_generation AS generation, toUInt32(greatest(origin_partition, 0)) AS partition,
            toUInt64(greatest(origin_offset, 0)) AS offset
        FROM rejected_events FINAL WHERE stage = 'meter' AND events > 0
    ) WHERE {metered} GROUP BY namespace
) GROUP BY namespace ORDER BY namespace"""

_PATIENCE_SECONDS: Final = 5.0


def check_books(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """accepted = metered + unmatched + duplicates + conflicts, by namespace, over everything below progress."""
    on_progress("books", 0, 1)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        books = scope.rows(_SQL.format(metered=scope.metered))
        unbalanced = [row for row in books if row[1] != sum(row[2:])]
        # Conflicts reach ClickHouse by way of usage.rejected, a moment after the cursor.
        if all(row[1] < sum(row[2:]) for row in unbalanced) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    for namespace, accepted, metered, unmatched, duplicates, conflicts in unbalanced:
        parts = f"{metered} metered + {unmatched} unmatched + {duplicates} duplicates + {conflicts} conflicts"
        findings.add(
            "books",
            f"namespace {namespace}",
            f"{accepted} accepted",
            f"{parts} = {metered + unmatched + duplicates + conflicts}",
            "see the differences above; if conflicts lag, is a worker running?",
        )
    on_progress("books", 1, 1)
