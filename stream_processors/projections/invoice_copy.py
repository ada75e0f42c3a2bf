"""Copies usage.invoices to ClickHouse: invoices and drafts with their lines.

A start goes on where the copy ended: from the fold of the records before (``StoredFold``), as far as ClickHouse has a
mark of what was copied (``copy_progress``). Where there is no fold, or ClickHouse has fewer versions than it says, all
of the topic is compared with ClickHouse, and what is missing is inserted.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Final

import pyarrow as pa

from schemas.kafka.topics import INVOICES
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.folds.stored_fold import COPIES, FoldElsewhere, StoredFold, stored_in
from schemas.ledgers.invoice_claims import is_draft
from schemas.ledgers.invoice_record import Invoice, readable_invoice, to_fields
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.log_place import BEGINNING, LogPlace, LogReplaced
from schemas.settings import Settings
from stream_processors.copied import copied_up_to, stored_versions
from stream_processors.metering.journal import Journal
from stream_processors.projections.ledgers import INSTANT, WRITTEN_BYTES, arrow_table

log = logging.getLogger(__name__)

INVOICE_TABLES: Final = {False: ("invoices", "invoice_lines"), True: ("invoice_drafts", "invoice_draft_lines")}
_AT_ONCE: Final = 2_000
_UNSAVED: Final = 50_000
_WIDE: Final = pa.decimal256(76, 12)
_MONEY: Final = pa.decimal128(38, 12)
_INVOICE_COLUMNS: Final = (
    ("namespace", pa.string()), ("invoice_id", pa.string()), ("version", pa.uint32()), ("predecessor", pa.string()),
    ("subscription", pa.string()), ("sequence", pa.uint32()), ("account_id", pa.string()), ("plan", pa.string()),
    ("plan_version", pa.uint32()), ("period_start", INSTANT), ("period_end", INSTANT), ("time_zone", pa.string()),
    ("run_id", pa.string()), ("checkpoint", pa.uint32()), ("catalog_offset", pa.uint64()), ("as_of", INSTANT),
    ("state", pa.string()), ("currency", pa.string()), ("total", _MONEY), ("body", pa.string()),
)  # fmt: skip
_LINE_COLUMNS: Final = (
    ("number", pa.uint32()), ("kind", pa.string()), ("charge", pa.string()), ("product", pa.string()),
    ("description", pa.string()), ("profile_id", pa.string()), ("profile_versions", pa.list_(pa.uint32())),
    ("period_start", INSTANT), ("period_end", INSTANT), ("quantity", _WIDE), ("events", pa.uint64()),
    ("unit", pa.string()),
    ("price", pa.string()), ("amount", _MONEY), ("unrounded", pa.string()), ("steps", pa.string()),
    ("note", pa.string()),
    ("adjusts", pa.string()),
)  # fmt: skip
_OWNER_COLUMNS: Final = (("namespace", pa.string()), ("invoice_id", pa.string()), ("version", pa.uint32()))

Version = tuple[bool, str, str, int]
"""(whether it is a draft, namespace, invoice id, version)."""


def invoice_tables(invoices: Sequence[Invoice]) -> tuple[pa.Table, pa.Table]:
    """Arrow tables of invoices and invoice_lines (or of invoice_drafts and invoice_draft_lines) for these versions."""
    records = [to_fields(invoice) for invoice in invoices]
    heads = [dict(record) | {"total": Decimal(record["total"])} for record in records]
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
    return arrow_table(_INVOICE_COLUMNS, heads), arrow_table((*_OWNER_COLUMNS, *_LINE_COLUMNS), lines)


class InvoiceCopy:
    """Inserts every valid version of usage.invoices that ClickHouse lacks, or has only some lines of. ``again``:
    inserts all versions, replacing the stored ones, and keeps no fold. For one thread."""

    def __init__(self, settings: Settings, journal: Journal, *, again: bool = False) -> None:
        self._settings = settings
        self._journal = journal
        self._again = again
        self._keeps_fold = not again
        self._reader: LedgerReader | None = None
        self._fold = StoredFold("", "")
        self._held: dict[Version, int] = {}
        self._pending: list[Invoice] = []
        self._marked: dict[int, int] = {}
        self.versions = 0
        """Valid versions, of drafts too, that the topic has as far as it is copied."""

    def close(self) -> None:
        """Let go of the fold's file."""
        self._fold.close()

    def run(self) -> int:
        """Copy up to the present end of the log; returns how many versions were inserted.

        Raises Stopping, LedgerUnavailable; calling it again continues.
        """
        try:
            return self._copied()
        except sqlite3.DatabaseError as error:
            log.error("the fold of %s cannot be used, and the copy is compared from its beginning: %s", INVOICES, error)
            self._keeps_fold = False
        except LogReplaced as error:
            log.warning("the copy is compared from the beginning of %s: %s", INVOICES, error)
        self._fold.discard()
        self._pending = []
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        return self._copied()

    def _copied(self) -> int:
        reader = self._reader or self._started()
        written = 0
        with closing(reader.lots_to(reader.end_offsets())) as lots:
            for lot in lots:
                written += self._take(lot)
                if self._fold.unsaved >= _UNSAVED:
                    written += self._write()
                    self._mark(reader)
        written += self._write()
        # Versions read from now on are newer than the comparison; inserting one twice is harmless.
        self._held = {}
        if reader.positions != self._marked:
            self._mark(reader)
        return written

    def _take(self, records: Iterable[LogRecord]) -> int:
        """Judge records; returns how many versions were inserted already."""
        written = size = 0
        for record in self._fold.unseen(records):
            invoice = readable_invoice(record.value)
            if invoice is None or not self._fold.valid.offer(invoice):
                continue
            self.versions += 1
            key = (is_draft(invoice), invoice.namespace, invoice.invoice_id, invoice.version)
            if self._held.get(key, -1) < len(invoice.lines):
                self._pending.append(invoice)
                size += len(record.value)
            if len(self._pending) >= _AT_ONCE or size >= WRITTEN_BYTES:
                written += self._write()
                size = 0
        return written

    def _started(self) -> LedgerReader:
        """A reader where the copy goes on, with the fold of the records before."""
        reader = LedgerReader(self._settings, INVOICES)
        try:
            reader.resume(self._begin(reader.end_offsets()))
        except BaseException:
            reader.close()
            raise
        self._reader = reader
        return reader

    def _begin(self, ends: Mapping[int, int]) -> dict[int, LogPlace]:
        self._fold.close()  # of a start that failed
        self._fold = self._opened()
        begin = self._fold.begin(copied_up_to(self._journal, INVOICES), ends)
        if self._fold.versions() > 0 and stored_versions(self._journal) < self._fold.versions():
            log.warning("ClickHouse has fewer versions of invoices than were copied, and is compared with all of them")
            self._fold.make_anew()
            begin = dict.fromkeys(begin, BEGINNING)
        self.versions = self._fold.versions()
        self._held = {} if self._again or self.versions else held_versions(self._journal)
        self._marked = {number: position.next_offset for number, position in begin.items()}
        return begin

    def _opened(self) -> StoredFold:
        folder = self._settings.snapshot_dir
        if folder and self._keeps_fold:
            try:
                return stored_in(folder, COPIES, log_id(self._settings))
            except (FoldElsewhere, sqlite3.Error, OSError) as error:
                log.warning("%s is compared with ClickHouse from its beginning: %s", INVOICES, error)
        return StoredFold("", "")

    def _mark(self, reader: LedgerReader) -> None:
        """All that was read is in ClickHouse; the mark is written first, for the fold must not be ahead of it."""
        self._marked = dict(reader.positions)
        if self._settings.snapshot_dir and self._keeps_fold:
            marks = {
                "topic": [INVOICES] * len(self._marked),
                "partition": list(self._marked),
                "next_offset": list(self._marked.values()),
            }
            self._journal.insert("copy_progress", pa.table(marks))
        self._fold.save(reader.places())

    def _write(self) -> int:
        records = self._pending
        for drafts, (table, of_lines) in INVOICE_TABLES.items():
            if alike := [record for record in records if is_draft(record) == drafts]:
                heads, lines = invoice_tables(alike)
                # Lines first, so that a visible invoice always has all of its lines.
                self._journal.insert(of_lines, lines)
                self._journal.insert(table, heads)
        self._pending = []
        return len(records)


def held_versions(journal: Journal) -> dict[Version, int]:
    """The versions of invoices and drafts stored in ClickHouse, also in the list of all, each with its number of
    lines."""
    held: dict[Version, int] = {}
    for drafts, (table, of_lines) in INVOICE_TABLES.items():
        rows = journal.query(
            f"read {table}",
            "SELECT namespace, invoice_id, version, lines.count FROM (SELECT DISTINCT namespace, invoice_id, "
            f"version FROM {table}) AS heads"
            " LEFT SEMI JOIN (SELECT namespace, invoice_id, version FROM invoice_lists"
            " WHERE draft = {draft:Bool} AND list = 'all') AS listed USING (namespace, invoice_id, version)"
            f" LEFT JOIN (SELECT namespace, invoice_id, version, uniqExact(number) AS count FROM {of_lines}"
            " GROUP BY namespace, invoice_id, version) AS lines USING (namespace, invoice_id, version)",
            {"draft": drafts},
        )
        held |= {(drafts, row[0], row[1], int(row[2])): int(row[3]) for row in rows}
    return held
