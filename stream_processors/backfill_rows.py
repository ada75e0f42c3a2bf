"""A page of stored events → the records that a backfilled profile version gives them: the meter's own matching. Pure."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from schemas.backfills import Job, staged_name
from schemas.column_matching import ColumnMatcher, Events, Matches
from stream_processors.rows import quantities

_POSITION: Final = ("generation", "partition", "offset", "index")
_KEPT: Final = ("account_id", "timestamp", *_POSITION, "append_time")


class BackfillMatcher:
    """The compiled versions of one backfill; ``part``: which of its checkpoints the records will belong to (1, 2, …)."""

    def __init__(self, job: Job, part: int = 1) -> None:
        self._job = job
        self._name = staged_name(job.name, part)
        self._matcher = ColumnMatcher(job.versions)

    def records(self, events: pa.Table) -> pa.Table:
        """Rows of backfill_records for ``events``: columns account_id, timestamp (µs), idempotency_key and properties (binary), the
        position, append_time (ms)."""
        found = Matches()
        keys = events["idempotency_key"]
        stamps = events["timestamp"].cast(pa.int64()).to_numpy()
        self._matcher.match(
            self._job.event_name,
            Events(
                np.arange(events.num_rows, dtype=np.int64),
                stamps,
                events["properties"].to_pylist(),
                lambda: [key.decode() for key in keys.to_pylist()],
            ),
            found,
        )
        parts = []
        for one in found.matched:
            count = len(one.rows)
            rows = events.select(_KEPT).take(pa.array(one.rows))
            columns: dict[str, Any] = {
                "backfill": _constant(self._name, count), "namespace": _constant(self._job.namespace, count),
                "profile_id": _constant(one.profile_id, count),
                "profile_version": pa.array(np.full(count, one.profile_version, np.uint32)),
                "quantity": quantities([one.units]),
                "unique_value": _texts(one.unique_values, count), "dimensions": _texts(one.dimensions, count),
            }  # fmt: skip
            parts.append(pa.table(columns | {name: rows[name] for name in _KEPT}))
        return pa.concat_tables(parts) if parts else pa.table({})


def _constant(text: str, count: int) -> Any:
    return pa.array([text], pa.string()).take(pa.array(np.zeros(count, np.int32)))


def _texts(texts: list[str] | None, count: int) -> Any:
    return _constant("", count) if texts is None else pa.array(texts, pa.string())
