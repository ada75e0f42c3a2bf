"""The invoices that stand, read from usage.invoices itself: for routes that change them or need whole chains, and the
present ones, which ClickHouse's copy may lack for a moment."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from msgspec.structs import replace

from rating.invoices.amend import Amendment
from rating.invoices.ledger import StandingInvoices, invoices_reader, log_id, snapshot_path
from rating.invoices.snapshot.invoice_store import InvoiceStore
from schemas.kafka.topics import INVOICES
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.invoice_claims import record_key
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_ATTEMPTS: Final = 20

T = TypeVar("T")


class InvoiceLedger:
    """The invoices that stand by usage.invoices, in a snapshot that is brought up to the log's end at each use: the
    settings' one, else one of this process's own, which is gone with it. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._folder: TemporaryDirectory[str] | None = None
        self._log = ""
        self._path = ""
        self._reader: LedgerReader | None = None
        self._writer: LedgerWriter | None = None
        self._store: InvoiceStore | None = None

    def ask(self, namespace: str, question: Callable[[StandingInvoices], T]) -> T:
        """``question`` of the namespace's invoices at the log's present end. Raises LedgerUnavailable."""
        with self._usable(), self._lock:
            self._followed().follow_to_end(self._read())
        with self._usable(), closing(InvoiceStore(self._path, self._log)) as store, store.as_it_stands():
            return question(StandingInvoices.of_store(store, namespace))

    def of_account(self, namespace: str, account_id: str) -> list[Invoice]:
        """The account's invoices at the log's present end. Raises LedgerUnavailable."""
        with self._usable(), self._lock:
            store = self._followed()
            store.follow_to_end(self._read())
            names = store.subscriptions(namespace, account_id)
            return [invoice for name in names for invoice in store.chain(namespace, name)]

    def amend(self, namespace: str, subscription: str, invoice_id: str, change: Amendment) -> Invoice:
        """Write the next version of an invoice or draft, ``change`` of its newest one, read it back, and try again on
        top of a version that won; the newest version. Blocking.

        Raises LookupError if there is no such invoice, LedgerUnavailable, and what ``change`` raises. After
        LedgerUnavailable repeat the call: a version that was written is then found.
        """
        writer = self._written()
        ends: Mapping[int, int] | None = None
        written = ""
        for _ in range(_ATTEMPTS):
            with self._usable(), self._lock:
                store = self._followed()
                if ends is None:
                    store.follow_to_end(self._read())
                else:
                    store.follow(self._read(), ends)
                chain = store.chain(namespace, subscription)
                newest = _of(chain, invoice_id) or store.draft(namespace, invoice_id)
            if newest is None:
                raise LookupError(f"there is no invoice {invoice_id} in {namespace}")
            if newest.claim_id == written:
                return newest
            following = change(chain, newest)
            if following is None:
                return newest
            written = uuid.uuid4().hex
            record = encode_invoice(replace(following, claim_id=written))
            partition, offset = writer.append(record_key(namespace, subscription), record)
            ends = {partition: offset + 1}
        raise LedgerUnavailable(
            f"{INVOICES}: {_ATTEMPTS} versions of {invoice_id} in a row lost to other writers; try again"
        )

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"the snapshot of {INVOICES}, {self._path}: {error}") from error

    def _written(self) -> LedgerWriter:
        with self._lock:
            if self._writer is None:
                self._writer = LedgerWriter(self._settings, INVOICES)
            return self._writer

    def _read(self) -> LedgerReader:
        if self._reader is None:
            self._reader = invoices_reader(self._settings)
        return self._reader

    def _followed(self) -> InvoiceStore:
        if self._store is None:
            try:
                self._log = log_id(self._settings)
                self._path = snapshot_path(self._settings)
            except OSError as error:
                raise LedgerUnavailable(f"the snapshot of {INVOICES}: {error}") from error
            if not self._path:
                self._folder = self._folder or TemporaryDirectory(prefix="weir-invoices-")
                self._path = str(Path(self._folder.name) / "invoices.sqlite")
            self._store = InvoiceStore(self._path, self._log)
        return self._store

    def close(self) -> None:
        """Leave the brokers and the snapshot."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            if self._store is not None:
                self._store.close()
                self._store = None
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None


def _of(chain: list[Invoice], invoice_id: str) -> Invoice | None:
    return next((invoice for invoice in chain if invoice.invoice_id == invoice_id), None)
