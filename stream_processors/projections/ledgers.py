"""Copies rejections to ClickHouse, and makes the tables of catalog entries. All writes are idempotent by key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from schemas.catalog.access.users import USER
from schemas.catalog.state import Entry
from schemas.kafka.codec import AvroRecord, CodecError, codec
from schemas.kafka.topics import REJECTED
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from stream_processors.copied import copied_up_to
from stream_processors.metering.journal import Journal

log = logging.getLogger(__name__)

INSTANT: Final = pa.timestamp("us", tz="UTC")
WRITTEN_BYTES: Final = 16 * 1024 * 1024
_REJECTED_COLUMNS: Final = (
    ("namespace", pa.string()), ("rejection_id", pa.binary(16)), ("stage", pa.string()), ("reason", pa.string()),
    ("detail", pa.string()), ("events", pa.uint32()), ("account_id", pa.string()), ("event_name", pa.string()),
    ("idempotency_key", pa.string()), ("original", pa.binary()), ("origin_topic", pa.string()),
    ("origin_generation", pa.uint32()), ("origin_partition", pa.int32()), ("origin_offset", pa.int64()),
    ("origin_index", pa.uint32()), ("received_at", INSTANT), ("original_size", pa.int64()),
    ("original_hash", pa.string()),
)  # fmt: skip


def rejected_table(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The Arrow table of rejected_events, from decoded RejectedEvent records."""
    return arrow_table(_REJECTED_COLUMNS, records)


def copied_body(entry: Entry) -> str:
    """The body of an entry as its row has it: whoever reads the tables gets no password's hash."""
    hidden = frozenset({"hash"}) if entry.kind == USER else frozenset[str]()
    body = {name: value for name, value in entry.body.items() if name not in hidden}
    return json.dumps(body, ensure_ascii=False, sort_keys=True)


def catalog_table(entries: Sequence[Entry], bodies: Sequence[str]) -> pa.Table:
    """The Arrow table of catalog_entries."""
    return pa.table(
        {
            "namespace": pa.array([entry.namespace for entry in entries], pa.string()),
            "kind": pa.array([entry.kind for entry in entries], pa.string()),
            "code": pa.array([entry.code for entry in entries], pa.string()),
            "version": pa.array([entry.version for entry in entries], pa.uint32()),
            "retired": pa.array([entry.retired for entry in entries], pa.bool_()),
            "valid_from": pa.array([entry.valid_from_us for entry in entries], INSTANT),
            "published_at": pa.array([entry.published_us for entry in entries], INSTANT),
            "catalog_offset": pa.array([entry.offset for entry in entries], pa.uint64()),
            "body": pa.array(bodies, pa.string()),
            "author": pa.array([entry.author for entry in entries], pa.string()),
        }
    )


def arrow_table(columns: Sequence[tuple[str, Any]], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The Arrow table of ``rows``; ``columns``: names and types."""
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in columns})


PIECES: Final = 64


class RejectionCopy:
    """Copies partitions of usage.rejected, continuing from the stored progress. ``again``: from their beginning."""

    def __init__(self, settings: Settings, journal: Journal, *, again: bool = False) -> None:
        self._settings = settings
        self._journal = journal
        self._again = again
        self._readers: dict[int, LedgerReader] = {}
        self._pending: dict[int, list[AvroRecord]] = {}
        self.copied: dict[int, int] = {}
        """Partition → next offset, as this worker has written it."""

    def run(self, partitions: Iterable[int]) -> int:
        """Copy the partitions up to the present end of the log; returns how many records were inserted.

        Raises Stopping, LedgerUnavailable; calling it again continues.
        """
        return sum(self._copy(partition) for partition in sorted(set(partitions)))

    def _copy(self, partition: int) -> int:
        reader = self._readers.get(partition)
        if reader is None:
            copied = 0 if self._again else copied_up_to(self._journal, REJECTED).get(partition, 0)
            # A record written in pieces may begin below the copied offset; copying a few records twice is harmless.
            reader = LedgerReader(self._settings, REJECTED, begin={partition: max(0, copied - PIECES)})
            if (end := reader.end_offsets()[partition]) < copied:
                # The log was recreated or restored from an older copy: read all of it.
                log.warning(
                    "usage.rejected partition %d ends at %d, below what was copied of it: %d", partition, end, copied
                )
                reader.close()
                reader = LedgerReader(self._settings, REJECTED, begin={partition: 0})
            self._readers[partition] = reader
        pending = self._pending.setdefault(partition, [])
        ends = reader.end_offsets()
        if reader.positions == ends and not pending:
            return 0
        written = size = 0
        for record in reader.read_to(ends):
            try:
                pending.append(codec("rejected_event").decode(record.value))
            except CodecError as error:
                log.warning("usage.rejected offset %d is void: %s", record.offset, error)
            size += len(record.value)
            if len(pending) >= 2000 or size >= WRITTEN_BYTES:
                written += self._write(partition)
                size = 0
        return written + self._write(partition)

    def _write(self, partition: int) -> int:
        records = self._pending[partition]
        self._journal.insert("rejected_events", rejected_table(records))
        written = len(records)
        records.clear()
        at = {
            "topic": [REJECTED],
            "partition": [partition],
            "next_offset": [self._readers[partition].positions[partition]],
        }
        self._journal.insert("copy_progress", pa.table(at))
        self.copied[partition] = self._readers[partition].positions[partition]
        return written
