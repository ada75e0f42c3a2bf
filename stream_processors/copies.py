"""Copies of ledger topics in ClickHouse: invoices with their lines, rejections, the catalog. All idempotent by key."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from schemas.catalog.state import Entry
from schemas.codec import CodecError, codec
from schemas.invoices import claim_of, is_draft
from schemas.ledger import FirstValid
from schemas.ledger_io import LedgerReader
from schemas.settings import Settings
from schemas.topics import INVOICES
from stream_processors.journal import Journal

log = logging.getLogger(__name__)

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_WIDE: Final = pa.decimal256(76, 12)
_MONEY: Final = pa.decimal128(38, 12)
_INVOICE_COLUMNS: Final = (
    ("namespace", pa.string()), ("invoice_id", pa.string()), ("version", pa.uint32()), ("predecessor", pa.string()),
    ("subscription", pa.string()), ("sequence", pa.uint32()), ("account_id", pa.string()), ("plan", pa.string()),
    ("plan_version", pa.uint32()), ("period_start", _INSTANT), ("period_end", _INSTANT), ("time_zone", pa.string()),
    ("run_id", pa.string()), ("checkpoint", pa.uint32()), ("catalog_offset", pa.uint64()), ("as_of", _INSTANT),
    ("state", pa.string()), ("currency", pa.string()), ("total", _MONEY), ("body", pa.string()),
)  # fmt: skip
_LINE_COLUMNS: Final = (
    ("number", pa.uint32()), ("kind", pa.string()), ("charge", pa.string()), ("product", pa.string()),
    ("description", pa.string()), ("profile_id", pa.string()), ("profile_versions", pa.list_(pa.uint32())),
    ("period_start", _INSTANT), ("period_end", _INSTANT), ("quantity", _WIDE), ("events", pa.uint64()), ("unit", pa.string()),
    ("price", pa.string()), ("amount", _MONEY), ("unrounded", pa.string()), ("steps", pa.string()), ("note", pa.string()),
    ("adjusts", pa.string()),
)  # fmt: skip
_OWNER_COLUMNS: Final = (("namespace", pa.string()), ("invoice_id", pa.string()), ("version", pa.uint32()))
_INVOICE_TABLES: Final = {False: ("invoices", "invoice_lines"), True: ("invoice_drafts", "invoice_draft_lines")}
_REJECTED_COLUMNS: Final = (
    ("namespace", pa.string()), ("rejection_id", pa.binary(16)), ("stage", pa.string()), ("reason", pa.string()),
    ("detail", pa.string()), ("events", pa.uint32()), ("account_id", pa.string()), ("event_name", pa.string()),
    ("idempotency_key", pa.string()), ("original", pa.binary()), ("origin_topic", pa.string()),
    ("origin_generation", pa.uint32()), ("origin_partition", pa.int32()), ("origin_offset", pa.int64()),
    ("origin_index", pa.uint32()), ("received_at", _INSTANT),
)  # fmt: skip


def invoice_tables(records: Sequence[Mapping[str, Any]]) -> tuple[pa.Table, pa.Table]:
    """Arrow tables of invoices and invoice_lines, or of drafts and their lines, from decoded Invoice records."""
    invoices = [dict(record) | {"total": Decimal(record["total"])} for record in records]
    lines = [
        line
        | {name: record[name] for name, _ in _OWNER_COLUMNS}
        | {
            "quantity": Decimal(line["quantity"]) if line["quantity"] else None,
            "events": int(line["events"]) if line["events"] else None,
            "amount": Decimal(line["amount"]),
        }
        for record in records
        for line in record["lines"]
    ]
    return _table(_INVOICE_COLUMNS, invoices), _table((*_OWNER_COLUMNS, *_LINE_COLUMNS), lines)


def rejected_table(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The Arrow table of rejected_events from decoded RejectedEvent records."""
    return _table(_REJECTED_COLUMNS, records)


def catalog_table(entries: Sequence[Entry], bodies: Sequence[str]) -> pa.Table:
    """The Arrow table of catalog_entries."""
    return pa.table(
        {
            "namespace": pa.array([entry.namespace for entry in entries], pa.string()),
            "kind": pa.array([entry.kind for entry in entries], pa.string()),
            "code": pa.array([entry.code for entry in entries], pa.string()),
            "version": pa.array([entry.version for entry in entries], pa.uint32()),
            "retired": pa.array([entry.retired for entry in entries], pa.bool_()),
            "valid_from": pa.array([entry.valid_from_us for entry in entries], _INSTANT),
            "published_at": pa.array([entry.published_us for entry in entries], _INSTANT),
            "catalog_offset": pa.array([entry.offset for entry in entries], pa.uint64()),
            "body": pa.array(bodies, pa.string()),
            "author": pa.array([entry.author for entry in entries], pa.string()),
        }
    )


def _table(columns: Sequence[tuple[str, Any]], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in columns})


class InvoiceCopy:
    """Follows usage.invoices from its beginning and writes every valid version that ClickHouse does not hold."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._reader: LedgerReader | None = None
        self._claims = FirstValid()
        self._held: dict[tuple[bool, str, str], int] | None = None

    def run(self) -> int:
        """Copy up to the log's present end; how many versions were written. Raises Stopping, LedgerUnavailable."""
        if self._reader is None:
            self._reader = LedgerReader(self._settings, INVOICES)
        if self._held is None:
            self._held = {
                (drafts, row[0], row[1]): int(row[2])
                for drafts, (table, _) in _INVOICE_TABLES.items()
                for row in self._journal.query(
                    f"read {table}", f"SELECT namespace, invoice_id, max(version) FROM {table} GROUP BY namespace, invoice_id"
                )
            }  # fmt: skip
        written = 0
        pending: list[dict[str, Any]] = []
        for record in self._reader.read_to(self._reader.end_offsets()):
            try:
                decoded = codec("invoice").decode(record.value)
            except CodecError as error:
                log.warning("usage.invoices partition %d offset %d is void: %s", record.partition, record.offset, error)
                continue
            key = (is_draft(decoded), decoded["namespace"], decoded["invoice_id"])
            if self._claims.offer(claim_of(decoded)) and decoded["version"] > self._held.get(key, 0):
                pending.append(decoded)
            if len(pending) >= 2000:
                written += self._write(pending)
                pending = []
        return written + self._write(pending)

    def _write(self, records: list[dict[str, Any]]) -> int:
        for drafts, (table, of_lines) in _INVOICE_TABLES.items():
            if some := [record for record in records if is_draft(record) == drafts]:
                invoices, lines = invoice_tables(some)
                # Lines first: an invoice that is seen is whole.
                self._journal.insert(of_lines, lines)
                self._journal.insert(table, invoices)
        return len(records)
