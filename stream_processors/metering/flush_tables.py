"""Builds the Arrow tables that one flush inserts, from decoded columns, without one Python object per value. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.events.batch import UsageBatch
from schemas.events.identity import CONTENT_HASH_BYTES, IDENTITY_BYTES
from schemas.ledgers.given_up import OffsetRange
from schemas.matching.rule_columns import Matches, RuleFailures, RuleMatches
from schemas.values.text_columns import Texts
from stream_processors.metering.dedupe import Dropped, Record

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_APPENDED: Final = pa.timestamp("ms", tz="UTC")
_QUANTITY: Final = pa.decimal128(38, 12)
_STRING: Final = pa.string()


class EventColumns:
    """Rows of usage_events, collected by record and converted to columns at once; ``matches`` refers to row
    numbers."""

    def __init__(self) -> None:
        self.size = 0
        self.matches = Matches()
        self._records: list[Record] = []
        self._counted: list[Sequence[int]] = []

    def add(self, record: Record, counted: Sequence[int]) -> int:
        """Add a record's counted events (indexes, ascending); returns the row number of the first."""
        row = self.size
        self.size += len(counted)
        self._records.append(record)
        self._counted.append(counted)
        return row

    def table(self) -> pa.Table:
        """The Arrow table of usage_events."""
        batches = [record.batch for record in self._records]
        # Columns are built from complete batches; the dropped events are removed from all columns at the end.
        sizes = [batch.size for batch in batches]
        columns: dict[str, Any] = {
            "namespace": _repeat([batch.namespace for batch in batches], _STRING, sizes),
            "account_id": texts_array([batch.account_ids for batch in batches]),
            "event_name": _names(batches),
            "timestamp": _joined([batch.timestamps_us for batch in batches]).view(_INSTANT),
            "source": texts_array([batch.sources for batch in batches]),
            "idempotency_key": texts_array([batch.idempotency_keys for batch in batches]),
            "identity": _fixed([batch.identities for batch in batches], IDENTITY_BYTES),
            "content_hash": _fixed([batch.content_hashes for batch in batches], CONTENT_HASH_BYTES),
            "properties": texts_array([batch.properties for batch in batches]),
            "dated": pa.array(_dated(batches, sizes)),
            "generation": _repeat([record.generation for record in self._records], pa.uint32(), sizes),
            "partition": _repeat([record.partition for record in self._records], pa.uint32(), sizes),
            "offset": _repeat([record.offset for record in self._records], pa.uint64(), sizes),
            "index": pa.array(np.concatenate([np.arange(size, dtype=np.uint32) for size in sizes])),
            "append_time": _repeat([record.append_us // 1000 for record in self._records], pa.int64(), sizes).view(
                _APPENDED
            ),
        }
        table = pa.table(columns)
        if self.size < table.num_rows:
            bases = np.cumsum([0, *sizes[:-1]])
            counted = [np.asarray(indices, np.int64) + base for indices, base in zip(self._counted, bases, strict=True)]
            table = table.take(pa.array(np.concatenate(counted)))
        for name, column in (
            match_columns(self.matches.matched, self.size) | failure_columns(self.matches.failed, self.size)
        ).items():
            table = table.append_column(name, column)
        return table


def _dated(batches: Sequence[UsageBatch], sizes: Sequence[int]) -> NDArray[np.bool_]:
    """For each event, whether its timestamp was set by a gateway's clock."""
    flags = np.zeros(sum(sizes), np.bool_)
    base = 0
    for batch, size in zip(batches, sizes, strict=True):
        if len(batch.dated):
            flags[batch.dated.astype(np.int64) + base] = True
        base += size
    return flags


def match_columns(matched: Sequence[RuleMatches], size: int) -> dict[str, Any]:
    """The match_… columns for ``size`` rows: one list per row, in the order of the rules."""
    counts = [len(match.rows) for match in matched]
    starts, order = _grouped([match.rows for match in matched], size)
    versions = np.repeat(np.array([match.profile_version for match in matched], np.uint32), counts)
    return {
        "match_profile_ids": _lists(
            starts, _repeat([match.profile_id for match in matched], _STRING, counts).take(order)
        ),
        "match_profile_versions": _lists(starts, pa.array(versions).take(order)),
        "match_quantities": _lists(starts, quantities([match.units for match in matched]).take(order)),
        "match_unique_values": _lists(
            starts, _texts_or_blank([match.unique_values for match in matched], counts).take(order)
        ),
        "match_dimensions": _lists(
            starts, _texts_or_blank([match.dimensions for match in matched], counts).take(order)
        ),
    }


def failure_columns(failed: Sequence[RuleFailures], size: int) -> dict[str, Any]:
    """The unmeterable_… columns for ``size`` rows."""
    starts, order = _grouped([failure.rows for failure in failed], size)
    ids = _repeat([failure.profile_id for failure in failed], _STRING, [len(failure.rows) for failure in failed])
    reasons = pa.array([reason for failure in failed for reason in failure.reasons], _STRING)
    return {
        "unmeterable_profile_ids": _lists(starts, ids.take(order)),
        "unmeterable_reasons": _lists(starts, reasons.take(order)),
    }


def quantities(columns: Sequence[NDArray[np.int64] | Sequence[int]]) -> Any:
    """A Decimal(38, 12) array from integer counts of 10^-12 units, without creating Decimal objects."""
    parts = []
    for units in columns:
        if isinstance(units, np.ndarray):
            # 128 bits in two's complement, little-endian: the value, then its sign.
            parts.append(np.stack([units, units >> 63], axis=1).astype("<i8").tobytes())
        else:
            parts.append(b"".join([value.to_bytes(16, "little", signed=True) for value in units]))
    data = b"".join(parts)
    return pa.Array.from_buffers(_QUANTITY, len(data) // 16, [None, pa.py_buffer(data)])


def texts_array(columns: Sequence[Texts]) -> Any:
    """Concatenate string columns into one Arrow column, without creating Python strings."""
    lengths = [np.diff(column.offsets) for column in columns]
    offsets = np.zeros(sum(map(len, lengths)) + 1, np.int32)
    if lengths:
        np.cumsum(np.concatenate(lengths), out=offsets[1:])
    return _strings(offsets, b"".join([column.data for column in columns]))


def _strings(offsets: NDArray[np.int32], data: bytes) -> Any:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def _texts_or_blank(columns: Sequence[Sequence[str] | None], counts: Sequence[int]) -> Any:
    if all(column is None for column in columns):
        return _strings(np.zeros(sum(counts) + 1, np.int32), b"")
    texts: list[str] = []
    for column, count in zip(columns, counts, strict=True):
        texts += [""] * count if column is None else column
    return pa.array(texts, _STRING)


def _names(batches: Sequence[UsageBatch]) -> Any:
    dictionary: dict[str, int] = {}
    parts = []
    for batch in batches:
        numbers = np.array([dictionary.setdefault(name, len(dictionary)) for name in batch.names], np.int32)
        parts.append(numbers[batch.name_indexes])
    return pa.array(list(dictionary), _STRING).take(_joined(parts))


def _repeat(values: Sequence[Any], kind: Any, counts: Sequence[int]) -> Any:
    """Each value repeated as often as its count says."""
    return pa.array(values, kind).take(pa.array(np.repeat(np.arange(len(values), dtype=np.int32), counts)))


def _joined(parts: Sequence[NDArray[Any]]) -> Any:
    return pa.array(np.concatenate(parts))


def _grouped(rows: Sequence[NDArray[np.int64]], size: int) -> tuple[Any, Any]:
    """Group items by row: (start of each row's list, item order). Items of one row stay in the given order."""
    joined = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    starts = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(joined, minlength=size), out=starts[1:])
    return pa.array(starts), pa.array(np.argsort(joined, kind="stable"))


def _lists(starts: Any, values: Any) -> Any:
    return pa.ListArray.from_arrays(starts, values)


def _fixed(parts: Sequence[bytes], width: int) -> Any:
    data = b"".join(parts)
    return pa.Array.from_buffers(pa.binary(width), len(data) // width, [None, pa.py_buffer(data)])


class DuplicateRow(NamedTuple):
    """A duplicate event and the record that contains it."""

    record: Record
    dropped: Dropped


def duplicates_table(rows: Sequence[DuplicateRow]) -> pa.Table:
    """The Arrow table of duplicate_events."""
    return pa.table(
        {
            "namespace": pa.array([row.record.batch.namespace for row in rows], _STRING),
            "account_id": pa.array([row.record.batch.account_ids[row.dropped.index] for row in rows], _STRING),
            "event_name": pa.array([row.record.batch.event_name(row.dropped.index) for row in rows], _STRING),
            "timestamp": pa.array([int(row.record.batch.timestamps_us[row.dropped.index]) for row in rows], _INSTANT),
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
            "rounds": pa.array([record.batch.rounds for record in records], pa.bool_()),
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


def carried_table(carried: Mapping[int, Sequence[int]]) -> pa.Table:
    """The Arrow table of usage_carried, from generation → next offset by partition."""
    rows = [(number, partition, end) for number, ends in carried.items() for partition, end in enumerate(ends) if end]
    return pa.table(
        {
            "generation": pa.array([number for number, *_ in rows], pa.uint32()),
            "partition": pa.array([partition for _, partition, _ in rows], pa.uint32()),
            "next_offset": pa.array([end for *_, end in rows], pa.uint64()),
        }
    )


def given_up_table(ranges: Sequence[OffsetRange]) -> pa.Table:
    """The Arrow table of usage_given_up: for each range one row per namespace with known losses, and one with an
    empty namespace."""
    rows = [
        # A range may be given up several times, as more of its lost events become known; the counts are summed.
        (range_, name, sum((same.events or {}).get(name, 0) for same in ranges if _offsets(same) == _offsets(range_)))
        for range_ in ranges
        for name in (*(range_.events or {}), "")
    ]
    return pa.table(
        {
            "generation": pa.array([range_.generation for range_, *_ in rows], pa.uint32()),
            "partition": pa.array([range_.partition for range_, *_ in rows], pa.uint32()),
            "from_offset": pa.array([range_.start for range_, *_ in rows], pa.uint64()),
            "next_offset": pa.array([range_.end for range_, *_ in rows], pa.uint64()),
            "namespace": pa.array([name for _, name, _ in rows], _STRING),
            "events": pa.array([count for *_, count in rows], pa.uint64()),
            "reason": pa.array([range_.reason for range_, *_ in rows], _STRING),
            "author": pa.array([range_.author for range_, *_ in rows], _STRING),
            "given_up_at": pa.array([range_.given_up_us for range_, *_ in rows], _INSTANT),
        }
    )


def _offsets(range_: OffsetRange) -> tuple[int, int, int, int]:
    return range_.generation, range_.partition, range_.start, range_.end
