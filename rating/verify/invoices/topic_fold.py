"""usage.invoices, folded once from its beginning for all checks of a verification, in temporary files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Final

from msgspec import Struct

from rating.invoices.ledger import invoices_reader
from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.verify.invoices.copied_rows import written
from rating.verify.scope import Scope
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.invoice_claims import is_draft
from schemas.ledgers.invoice_record import Invoice
from schemas.settings import Settings

_TABLE: Final = """CREATE TABLE digests (namespace TEXT, draft INTEGER, invoice_id TEXT, version INTEGER, end INTEGER,
    digest BLOB, PRIMARY KEY (namespace, draft, invoice_id)) WITHOUT ROWID"""
_AT_ONCE: Final = 1_000


class Written(Struct, frozen=True):
    """The newest version of an invoice or draft on the topic; ``digest``: of its values (``copied_rows``)."""

    invoice_id: str
    version: int
    digest: bytes


class TopicFold:
    """``store``: which records are valid, and the newest versions. Each record is decoded once. Raises
    LedgerUnavailable. Close it."""

    def __init__(self, settings: Settings) -> None:
        self._held = ExitStack()
        self._reader = self._held.enter_context(invoices_reader(settings))
        self._digests = self._held.enter_context(closing(sqlite3.connect("", isolation_level=None)))
        self._digests.execute(_TABLE)
        self._digests.execute("BEGIN")
        self._pending: list[tuple[str, bool, str, int, int, bytes]] = []
        store = InvoiceStore("", log_id(settings), on_valid=self._take)
        self.store = self._held.enter_context(closing(store))

    @classmethod
    def of(cls, scope: Scope) -> TopicFold:
        """The one that all checks of a verification share. Raises LedgerUnavailable."""
        fold = scope.shared.get(cls.__name__)
        if not isinstance(fold, cls):
            fold = scope.shared[cls.__name__] = cls(scope.settings)
        return fold

    def follow(self, ends: Mapping[int, int] | None = None) -> None:
        """Read what the log has beyond it, up to ``ends``; None: to the log's present end."""
        if ends is None:
            self.store.follow_to_end(self._reader)
        else:
            self.store.follow(self._reader, ends)
        self._save()

    def _take(self, invoice: Invoice) -> None:
        key = (invoice.namespace, is_draft(invoice), invoice.invoice_id)
        self._pending.append((*key, invoice.version, invoice.period_end, written(invoice).digest()))
        if len(self._pending) >= _AT_ONCE:
            self._save()

    def _save(self) -> None:
        self._digests.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", self._pending)
        self._pending.clear()

    def in_order(self, namespace: str, *, drafts: bool, since_us: int | None) -> Iterator[Written]:
        """The newest versions of all invoices, or of the drafts that have not become invoices, in the order of their
        ids; ``since_us``: of those whose period ends later."""
        sql = "SELECT invoice_id, version, digest FROM digests WHERE namespace = ? AND draft = ?"
        if since_us is not None:
            sql += f" AND end > {since_us:d}"
        if drafts:
            sql += " AND invoice_id NOT IN (SELECT invoice_id FROM digests WHERE namespace = ? AND draft = 0)"
        bound = (namespace, drafts, namespace) if drafts else (namespace, drafts)
        for row in self._digests.execute(f"{sql} ORDER BY invoice_id", bound):
            yield Written(*row)

    def close(self) -> None:
        """Leave the brokers, and delete the files."""
        self._held.close()
