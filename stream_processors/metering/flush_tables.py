"""Builds the Arrow tables that one flush inserts, from decoded columns, without one Python object per value. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.events.batch import UsageBatch
from schemas.events.identity import CONTENT_HASH_BYTES, IDENTITY_BYTES
from schemas.matching.rule_columns import RuleFailures, RuleMatches
from schemas.values.text_columns import Texts
from stream_processors.metering.dedupe import Record
from stream_processors.metering.meter_records import Duplicates, FlushEvents

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_APPENDED: Final = pa.timestamp("ms", tz="UTC")
_QUANTITY: Final = pa.decimal128(38, 12)
_STRING: Final = pa.string()


COUNTS: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
"""What becomes of an event: ``fate`` in usage_flush."""
_FIRST: Final = ("first_generation", "first_partition", "first_offset", "first_index")
_FIRST_KINDS: Final = (np.uint32, np.uint32, np.uint64, np.uint32)


def flush_table(events: FlushEvents, duplicates: Duplicates | None = None) -> pa.Table:
    """The Arrow table of usage_flush, a row an event; without ``duplicates`` only of those that count."""
    batches = [record.batch for record in events.records]
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
        "generation": _repeat([record.generation for record in events.records], pa.uint32(), sizes),
        "partition": _repeat([record.partition for record in events.records], pa.uint32(), sizes),
        "offset": _repeat([record.offset for record in events.records], pa.uint64(), sizes),
        "index": pa.array(np.concatenate([np.arange(size, dtype=np.uint32) for size in sizes])),
        "append_time": _repeat([record.append_us // 1000 for record in events.records], pa.int64(), sizes).view(
            _APPENDED
        ),
    }
    columns |= match_columns(events.matches.matched, len(events))
    columns |= failure_columns(events.matches.failed, len(events))
    if not events.dropped:
        return pa.table(columns)
    if duplicates is None:
        counts = np.ones(len(events), np.bool_)
        counts[np.concatenate(events.dropped)] = False
        return pa.table(columns).filter(pa.array(counts))
    return pa.table(columns | _fates(events, duplicates))


def _fates(events: FlushEvents, duplicates: Duplicates) -> dict[str, Any]:
    """What becomes of each event, and the first copies of the duplicates."""
    fates = np.zeros(len(events), np.uint8)
    fates[np.concatenate(events.dropped)] = CONFLICT
    firsts = [np.zeros(len(events), kind) for kind in _FIRST_KINDS]
    for record, drops in duplicates.parts():
        rows = drops.indexes + events.begins[record.generation, record.partition, record.offset]
        fates[rows] = DUPLICATE
        for number, first in enumerate(firsts):
            first[rows] = drops.firsts[:, number]
    return {"fate": pa.array(fates)} | {name: pa.array(first) for name, first in zip(_FIRST, firsts, strict=True)}


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
    size = sum(map(len, parts)) // width
    return pa.Array.from_buffers(pa.binary(width), size, [None, pa.py_buffer(b"".join(parts))])


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
