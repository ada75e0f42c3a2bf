"""Rebuilds ClickHouse tables from their topics, or windows from records (`weir copies rebuild`), without manual
deletion.

Rows of the topic replace the stored ones, and stored rows that the topic lacks are deleted, with one exception: an
invoice version that only ClickHouse has is kept and reported, because it may be a payment that the topic lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import Entry
from schemas.kafka.topics import INVOICES, REJECTED_PARTITIONS
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.invoice_claims import ValidInvoices, is_draft
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from schemas.usage_log.generation_change import Say
from stream_processors.backfill.staging import Staging
from stream_processors.metering.journal import Journal
from stream_processors.projections.copy_numbers import copy_numbers
from stream_processors.projections.invoice_copy import INVOICE_TABLES, InvoiceCopy
from stream_processors.projections.ledgers import RejectionCopy, catalog_table, copied_body
from stream_processors.rollup.roll_up import RollUp

_CHUNK: Final = 500
_Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """A version of an invoice that ClickHouse has and usage.invoices lacks. ``topic``: the newest version in the
    topic, 0 if none."""

    namespace: str
    invoice_id: str
    version: int
    topic: int
    state: str


class Rebuild:
    """Rebuilds copies on a running stack. Use it from one thread, and close it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._journal = Journal(settings, self._stop)

    def close(self) -> None:
        """Stop retries that are under way."""
        self._stop.set()

    def invoices(self, say: Say) -> list[KeptVersion]:
        """Rebuild invoices, drafts and their lines; returns versions that were kept although the topic lacks them.
        Raises LedgerUnavailable."""
        say(
            f"{InvoiceCopy(self._settings, self._journal, again=True).run()} versions of invoices and drafts "
            "copied again"
        )
        ahead: list[KeptVersion] = []
        # Before the topic: what is copied meanwhile is no version that the topic lacks.
        stored = {drafts: self._stored(table, drafts=drafts) for drafts, (table, _) in INVOICE_TABLES.items()}
        topic = self._versions()
        newest: dict[tuple[bool, str, str], int] = {}
        for drafts, namespace, name, version in topic:
            newest[drafts, namespace, name] = max(version, newest.get((drafts, namespace, name), 0))
        for drafts, (table, of_lines) in INVOICE_TABLES.items():
            extra = {key: in_table for key, in_table in stored[drafts].items() if (drafts, *key) not in topic}
            unknown = [
                key
                for key, in_table in extra.items()
                if in_table and not drafts and key[2] > newest.get((False, key[0], key[1]), 0)
            ]
            ahead += self._states(unknown, newest)
            removed = sorted(extra.keys() - set(unknown))
            self._delete(table, removed)
            self._delete(of_lines, removed)
            self._delete("invoice_lists", removed, f"draft = {str(drafts).lower()} AND ")
            self._delete_lines(of_lines, {key[1:]: lines for key, lines in topic.items() if key[0] == drafts})
            if removed:
                say(f"{len(removed)} versions deleted from {table}, which usage.invoices does not have")
        return ahead

    def rejections(self, say: Say) -> None:
        """Rebuild rejected_events. Raises LedgerUnavailable."""
        say(
            f"{RejectionCopy(self._settings, self._journal, again=True).run(range(REJECTED_PARTITIONS))} rejections "
            "copied again"
        )

    def catalog(self, say: Say) -> None:
        """Rebuild catalog_entries. Raises LedgerUnavailable."""
        entries: list[Entry] = []
        follower = CatalogFollower(self._settings, entries.append).start()
        follower.stop()
        bodies = [copied_body(entry) for entry in entries]
        if entries:
            self._journal.insert("catalog_entries", catalog_table(entries, bodies))
        say(f"{len(entries)} versions of catalog entries copied again")

    def numbers(self, say: Say) -> None:
        """Rebuild invoice_numbers and credit_note_numbers. Raises LedgerUnavailable."""
        ledger = CheckpointLedger(self._settings)
        try:
            say(
                f"{copy_numbers(self._journal, ledger.refresh(), again=True)} numbers of invoices and credit notes "
                "shown again"
            )
        finally:
            ledger.close()

    def windows(self, say: Say) -> None:
        """Rebuild usage_windows from usage_records, checkpoint by checkpoint. Raises LedgerUnavailable."""
        catalog = CatalogFollower(self._settings).start()
        try:
            staging = Staging(self._settings, catalog, self._stop)
            rollup = RollUp(self._settings, catalog, self._stop, staging.complete)
            numbers = range(1, len(rollup.checkpoints().cuts) + 1)
            rollup.again(numbers, afresh=True)
            self._journal.command(
                "delete windows of no checkpoint",
                "DELETE FROM usage_windows WHERE checkpoint > {k:UInt32}",
                {"k": len(numbers)},
            )
        finally:
            catalog.stop()
        say(f"the windows of {len(numbers)} checkpoints rolled up again")

    def _versions(self) -> dict[tuple[bool, str, str, int], list[int]]:
        """The valid versions in usage.invoices, each with its line numbers."""
        valid = ValidInvoices()
        versions: dict[tuple[bool, str, str, int], list[int]] = {}
        with LedgerReader(self._settings, INVOICES) as reader:
            for record in reader.read_to(reader.end_offsets()):
                invoice = valid.offer_bytes(record.value)
                if invoice is not None:
                    key = (is_draft(invoice), invoice.namespace, invoice.invoice_id, invoice.version)
                    versions[key] = [line.number for line in invoice.lines]
        return versions

    def _stored(self, table: str, *, drafts: bool) -> dict[_Key, bool]:
        """The versions in the table or in a list; whether in the table. One of them may lack what the other has: a
        rebuild that ended between them."""
        rows = self._journal.query(
            f"read {table}",
            "SELECT namespace, invoice_id, version, max(in_table) FROM ("
            f"SELECT namespace, invoice_id, version, 1 AS in_table FROM {table} UNION ALL"
            " SELECT namespace, invoice_id, version, 0 AS in_table FROM invoice_lists WHERE draft = {draft:Bool})"
            " GROUP BY namespace, invoice_id, version",
            {"draft": drafts},
        )
        return {(str(row[0]), str(row[1]), int(row[2])): bool(row[3]) for row in rows}

    def _states(self, keys: Iterable[_Key], newest: dict[tuple[bool, str, str], int]) -> list[KeptVersion]:
        states = []
        for namespace, name, version in sorted(keys):
            rows = self._journal.query(
                "read an invoice's state",
                "SELECT toString(state) FROM invoices WHERE namespace = {n:String} AND invoice_id = {i:String} AND "
                "version = {v:UInt32}",
                {"n": namespace, "i": name, "v": version},
            )
            states.append(
                KeptVersion(namespace, name, version, newest.get((False, namespace, name), 0), str(rows[0][0]))
            )
        return states

    def _delete(self, table: str, keys: list[_Key], condition: str = "") -> None:
        for at in range(0, len(keys), _CHUNK):
            self._journal.command(
                f"delete from {table}",
                f"DELETE FROM {table} WHERE {condition}(namespace, invoice_id, version) IN"
                " (SELECT arrayJoin({keys:Array(Tuple(String, String, UInt32))}))",
                {"keys": keys[at : at + _CHUNK]},
            )

    def _delete_lines(self, table: str, lines: dict[_Key, list[int]]) -> None:
        """Delete stored lines that the topic's version does not contain."""
        rows: list[Any] = list(
            self._journal.query(
                f"read {table}",
                f"SELECT namespace, invoice_id, version, groupUniqArray(number) FROM {table} GROUP BY namespace, "
                "invoice_id, version",
            )
        )
        for namespace, name, version, numbers in rows:
            expected = lines.get((namespace, name, int(version)))
            wrong = sorted(set(map(int, numbers)) - set(expected)) if expected is not None else []
            if wrong:
                self._journal.command(
                    f"delete lines from {table}",
                    f"DELETE FROM {table} WHERE namespace = {{n:String}} AND invoice_id = {{i:String}} AND version = "
                    f"{{v:UInt32}}"
                    " AND number IN {numbers:Array(UInt32)}",
                    {"n": namespace, "i": name, "v": int(version), "numbers": wrong},
                )
