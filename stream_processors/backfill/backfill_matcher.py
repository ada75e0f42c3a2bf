"""Matches a page of stored events against a backfilled profile version, with the matcher that metering uses. Pure."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from schemas.catalog.backfill_jobs import Job, staged_name
from schemas.event_schema.filled import NO_DEFAULTS, Defaults
from schemas.events.event_types import DefaultsByOffset
from schemas.matching.columns import ColumnMatcher
from schemas.matching.rule_columns import Events, Matches
from stream_processors.metering.flush_tables import quantities

_POSITION: Final = ("generation", "partition", "offset", "index")
_KEPT: Final = ("account_id", "timestamp", *_POSITION, "append_time")


class BackfillMatcher:
    """The compiled profile versions of one backfill.

    ``part``: the number (from 1) of the backfill's checkpoint to which the records will belong. ``defaults``: the
    event types' default values by catalog offset, None to fill in none.
    """

    def __init__(self, job: Job, part: int = 1, defaults: DefaultsByOffset | None = None) -> None:
        self._job = job
        self._name = staged_name(job.name, part)
        self._defaults = defaults
        self._matchers: dict[Defaults, ColumnMatcher] = {}

    def records(self, events: pa.Table) -> pa.Table:
        """Rows of backfill_records for a page of ``events``.

        Expected columns: account_id, timestamp (µs), idempotency_key and properties (binary), the position,
        append_time (ms), and catalog_offset of the batch if defaults are filled in.
        """
        if self._defaults is None or not self._defaults.any:
            return self._records(NO_DEFAULTS, events)
        offsets = events["catalog_offset"].to_numpy()
        by_defaults: dict[Defaults, list[int]] = {}
        for offset in np.unique(offsets).tolist():
            by_defaults.setdefault(self._defaults.at(offset), []).append(offset)
        parts = [
            self._records(defaults, events.filter(pa.array(np.isin(offsets, among))))
            for defaults, among in by_defaults.items()
        ]
        parts = [part for part in parts if part.num_rows]
        return pa.concat_tables(parts) if parts else pa.table({})

    def _records(self, defaults: Defaults, events: pa.Table) -> pa.Table:
        matcher = self._matchers.get(defaults)
        if matcher is None:
            matcher = self._matchers[defaults] = ColumnMatcher(
                self._job.versions, lambda name: defaults, exactly=not self._job.rounds
            )
        matches = Matches()
        keys = events["idempotency_key"]
        stamps = events["timestamp"].cast(pa.int64()).to_numpy()
        matcher.match(
            self._job.event_name,
            Events(
                np.arange(events.num_rows, dtype=np.int64),
                stamps,
                events["properties"].to_pylist(),
                lambda: [key.decode() for key in keys.to_pylist()],
            ),
            matches,
        )
        parts = []
        for match in matches.matched:
            count = len(match.rows)
            rows = events.select(_KEPT).take(pa.array(match.rows))
            columns: dict[str, Any] = {
                "backfill": _constant(self._name, count), "namespace": _constant(self._job.namespace, count),
                "profile_id": _constant(match.profile_id, count),
                "profile_version": pa.array(np.full(count, match.profile_version, np.uint32)),
                "quantity": quantities([match.units]),
                "unique_value": _texts(match.unique_values, count), "dimensions": _texts(match.dimensions, count),
            }  # fmt: skip
            parts.append(pa.table(columns | {name: rows[name] for name in _KEPT}))
        return pa.concat_tables(parts) if parts else pa.table({})


def _constant(text: str, count: int) -> Any:
    return pa.array([text], pa.string()).take(pa.array(np.zeros(count, np.int32)))


def _texts(texts: list[str] | None, count: int) -> Any:
    return _constant("", count) if texts is None else pa.array(texts, pa.string())
