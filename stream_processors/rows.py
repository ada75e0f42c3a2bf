"""Columns from the decoder to the insert: Arrow tables of what one flush writes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.identity import CONTENT_HASH_BYTES, IDENTITY_BYTES
from schemas.matching import Matched
from stream_processors.dedupe import Dropped, Record

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_APPENDED: Final = pa.timestamp("ms", tz="UTC")
_QUANTITY: Final = pa.decimal128(38, 12)
_STRING: Final = pa.string()


class EventColumns:
    """Rows of usage_events, collected column by column."""

    def __init__(self) -> None:
        self.size = 0
        self._namespaces: list[str] = []
        self._runs: list[int] = []  # rows a record, for columns that are constant over it
        self._records: list[tuple[int, int, int, int]] = []  # generation, partition, offset, append ms
        self._accounts: list[str] = []
        self._names: list[str] = []
        self._stamps: list[int] = []
        self._sources: list[str] = []
        self._keys: list[str] = []
        self._identities: list[bytes] = []
        self._hashes: list[bytes] = []
        self._properties: list[str] = []
        self._indexes: list[int] = []
        self._matched: list[Matched] = []

    def add(self, record: Record, counted: Sequence[int], matched: Sequence[Matched]) -> None:
        """The counted events of a record with what each matched, in the order of ``counted``."""
        if not counted:
            return
        batch = record.batch
        self.size += len(counted)
        self._runs.append(len(counted))
        self._namespaces.append(batch.namespace)
        self._records.append((record.generation, record.partition, record.offset, record.append_us // 1000))
        self._indexes.extend(counted)
        self._matched.extend(matched)
        if len(counted) == batch.size:
            self._accounts.extend(batch.account_ids)
            self._names.extend(batch.event_names)
            self._stamps.extend(batch.timestamps_us)
            self._sources.extend(batch.sources)
            self._keys.extend(batch.idempotency_keys)
            self._properties.extend(batch.properties)
            self._identities.append(batch.identities)
            self._hashes.append(batch.content_hashes)
            return
        for index in counted:
            self._accounts.append(batch.account_ids[index])
            self._names.append(batch.event_names[index])
            self._stamps.append(batch.timestamps_us[index])
            self._sources.append(batch.sources[index])
            self._keys.append(batch.idempotency_keys[index])
            self._properties.append(batch.properties[index])
            self._identities.append(batch.identity(index))
            self._hashes.append(batch.content_hash(index))

    def table(self) -> pa.Table:
        """The Arrow table of usage_events."""
        matches = [match for matched in self._matched for match in matched.matches]
        starts = _starts(len(matched.matches) for matched in self._matched)
        failures = [failure for matched in self._matched for failure in matched.unmeterable]
        failure_starts = _starts(len(matched.unmeterable) for matched in self._matched)
        profile_ids, versions, units, uniques, dimensions = zip(*matches, strict=True) if matches else ((),) * 5
        failed_ids, reasons = zip(*failures, strict=True) if failures else ((), ())
        columns: dict[str, Any] = {
            "namespace": self._repeat(self._namespaces, _STRING),
            "account_id": pa.array(self._accounts, _STRING),
            "event_name": pa.array(self._names, _STRING),
            "timestamp": pa.array(self._stamps, pa.int64()).view(_INSTANT),
            "source": pa.array(self._sources, _STRING),
            "idempotency_key": pa.array(self._keys, _STRING),
            "identity": _fixed(self._identities, IDENTITY_BYTES),
            "content_hash": _fixed(self._hashes, CONTENT_HASH_BYTES),
            "properties": pa.array(self._properties, _STRING),
            "match_profile_ids": _lists(starts, pa.array(profile_ids, _STRING)),
            "match_profile_versions": _lists(starts, pa.array(versions, pa.uint32())),
            "match_quantities": _lists(starts, quantities(units)),
            "match_unique_values": _lists(starts, pa.array(uniques, _STRING)),
            "match_dimensions": _lists(starts, pa.array(dimensions, _STRING)),
            "unmeterable_profile_ids": _lists(failure_starts, pa.array(failed_ids, _STRING)),
            "unmeterable_reasons": _lists(failure_starts, pa.array(reasons, _STRING)),
            "generation": self._repeat([record[0] for record in self._records], pa.uint32()),
            "partition": self._repeat([record[1] for record in self._records], pa.uint32()),
            "offset": self._repeat([record[2] for record in self._records], pa.uint64()),
            "index": pa.array(self._indexes, pa.uint32()),
            "append_time": self._repeat([record[3] for record in self._records], pa.int64()).view(_APPENDED),
        }
        return pa.table(columns)

    def _repeat(self, values: Sequence[Any], kind: Any) -> Any:
        """One value a record, repeated for each of its rows."""
        numbers = np.repeat(np.arange(len(self._runs), dtype=np.int32), self._runs)
        return pa.array(values, kind).take(pa.array(numbers))


def quantities(units: Iterable[int]) -> Any:
    """Decimal(38, 12) from counts of 10^-12 units, without a Decimal object a value."""
    data = b"".join([value.to_bytes(16, "little", signed=True) for value in units])
    return pa.Array.from_buffers(_QUANTITY, len(data) // 16, [None, pa.py_buffer(data)])


def _starts(lengths: Iterable[int]) -> Any:
    starts = [0]
    position = 0
    for length in lengths:
        position += length
        starts.append(position)
    return pa.array(starts, pa.int32())


def _lists(starts: Any, values: Any) -> Any:
    return pa.ListArray.from_arrays(starts, values)


def _fixed(parts: Sequence[bytes], width: int) -> Any:
    data = b"".join(parts)
    return pa.Array.from_buffers(pa.binary(width), len(data) // width, [None, pa.py_buffer(data)])


class DuplicateRow(NamedTuple):
    """A duplicate and the record it stood in."""

    record: Record
    dropped: Dropped


def duplicates_table(rows: Sequence[DuplicateRow]) -> pa.Table:
    """The Arrow table of duplicate_events."""
    return pa.table(
        {
            "namespace": pa.array([row.record.batch.namespace for row in rows], _STRING),
            "account_id": pa.array([row.record.batch.account_ids[row.dropped.index] for row in rows], _STRING),
            "event_name": pa.array([row.record.batch.event_names[row.dropped.index] for row in rows], _STRING),
            "timestamp": pa.array([row.record.batch.timestamps_us[row.dropped.index] for row in rows], _INSTANT),
            "source": pa.array([row.record.batch.sources[row.dropped.index] for row in rows], _STRING),
            "idempotency_key": pa.array(
                [row.record.batch.idempotency_keys[row.dropped.index] for row in rows], _STRING
            ),
            "generation": pa.array([row.record.generation for row in rows], pa.uint32()),
            "partition": pa.array([row.record.partition for row in rows], pa.uint32()),
            "offset": pa.array([row.record.offset for row in rows], pa.uint64()),
            "index": pa.array([row.dropped.index for row in rows], pa.uint32()),
            "first_generation": pa.array([row.dropped.first.generation for row in rows], pa.uint32()),
            "first_partition": pa.array([row.dropped.first.partition for row in rows], pa.uint32()),
            "first_offset": pa.array([row.dropped.first.offset for row in rows], pa.uint64()),
            "first_index": pa.array([row.dropped.first.index for row in rows], pa.uint32()),
            "append_time": pa.array([row.record.append_us // 1000 for row in rows], pa.int64()).view(_APPENDED),
        }
    )


def batches_table(records: Sequence[Record]) -> pa.Table:
    """The Arrow table of usage_batches."""
    return pa.table(
        {
            "generation": pa.array([record.generation for record in records], pa.uint32()),
            "partition": pa.array([record.partition for record in records], pa.uint32()),
            "offset": pa.array([record.offset for record in records], pa.uint64()),
            "namespace": pa.array([record.batch.namespace for record in records], _STRING),
            "events": pa.array([record.batch.size for record in records], pa.uint32()),
            "catalog_offset": pa.array([record.batch.catalog_offset for record in records], pa.uint64()),
            "append_time": pa.array([record.append_us // 1000 for record in records], pa.int64()).view(_APPENDED),
        }
    )


def progress_table(progress: dict[tuple[int, int], int]) -> pa.Table:
    """The Arrow table of usage_progress."""
    items = sorted(progress.items())
    return pa.table(
        {
            "generation": pa.array([key[0] for key, _ in items], pa.uint32()),
            "partition": pa.array([key[1] for key, _ in items], pa.uint32()),
            "next_offset": pa.array([offset for _, offset in items], pa.uint64()),
        }
    )
