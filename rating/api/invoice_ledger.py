"""The invoices that stand, read from usage.invoices itself: for routes that change them or need whole chains, and the
present ones, which ClickHouse's copy may lack for a moment."""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from rating.invoices.amend import Amendment
from rating.invoices.ledger import StandingInvoices, invoices_reader, snapshot_folder
from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoices.snapshot.snapshot_folder import snapshot_file, usable_file
from schemas.kafka.topics import INVOICES
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.folds.fold_file import DamagedFile, is_damage
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.invoice_claims import record_key
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.values.record_copy import replace

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 20

T = TypeVar("T")


class InvoiceLedger:
    """The invoices that stand by usage.invoices, in a snapshot that is brought up to the log's end at each use: the
    settings' one, else one of this process's own, which is gone with it. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._folder: TemporaryDirectory[str] | None = None
        self._admin: AdminClient | None = None
        self._log = ""
        self._reader: LedgerReader | None = None
        self._writer: LedgerWriter | None = None
        self._store: InvoiceStore | None = None

    def ask(self, namespace: str, question: Callable[[StandingInvoices], T]) -> T:
        """``question`` of the namespace's invoices at the log's present end. Raises LedgerUnavailable."""

        def asked() -> T:
            with self._lock:
                followed = self._followed()
                path, log, positions = followed.path, self._log, followed.positions()
            with closing(InvoiceStore(path, log)) as store, store.as_it_stands() as known:
                if any(known.get(number, 0) < at for number, at in positions.items()):
                    raise DamagedFile(f"{path} was deleted, or made anew, beneath this process")
                return question(StandingInvoices.of_store(store, namespace))

        return self._usable(asked)

    def of_account(self, namespace: str, account_id: str) -> list[Invoice]:
        """The account's invoices at the log's present end. Raises LedgerUnavailable."""

        def asked() -> list[Invoice]:
            with self._lock:
                store = self._followed()
                names = store.subscriptions(namespace, account_id)
                return [invoice for name in names for invoice in store.chain(namespace, name)]

        return self._usable(asked)

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
            chain, newest = self._usable(partial(self._standing, namespace, subscription, invoice_id, ends))
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

    def _standing(
        self, namespace: str, subscription: str, invoice_id: str, ends: Mapping[int, int] | None
    ) -> tuple[list[Invoice], Invoice | None]:
        """The chain and the newest version of an invoice or draft; at ``ends``, None: at the log's present end."""
        with self._lock:
            store = self._followed(ends)
            chain = store.chain(namespace, subscription)
            return chain, _of(chain, invoice_id) or store.draft(namespace, invoice_id)

    def _usable(self, use: Callable[[], T]) -> T:
        """``use`` of the snapshot; once more, of a new file, if this one turns out to be damaged."""
        before = self._store
        try:
            try:
                return use()
            except sqlite3.Error as error:
                if not self._succeeded(error, before):
                    raise
                return use()
        except KafkaException as error:  # as of a log that lost its end just now: the next use reads it anew
            raise LedgerUnavailable(f"{INVOICES}: {error}") from error
        except (sqlite3.Error, OSError) as error:
            # The folder, which the error's text may have too, is for the log alone.
            log.error("the snapshot of %s in %s: %s", INVOICES, self._settings.snapshot_dir, error)
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise LedgerUnavailable(f"the snapshot of {INVOICES}, in WEIR_SNAPSHOT_DIR: {reason}") from error

    def _succeeded(self, error: sqlite3.Error, before: InvoiceStore | None) -> bool:
        """Whether there is another file instead of a damaged one. ``before``: the store when its use began, None if
        there was none yet."""
        with self._lock:
            store = self._store
            if store is None or (before is not None and store is not before):
                return is_damage(error)  # another thread met it first
            if not store.succeed_if_damaged(error):
                return False
            store.close()
            self._store = None
            return True

    def _written(self) -> LedgerWriter:
        with self._lock:
            if self._writer is None:
                self._writer = LedgerWriter(self._settings, INVOICES)
            return self._writer

    def _followed(self, ends: Mapping[int, int] | None = None) -> InvoiceStore:
        """The store, brought up to ``ends``, None: to the log's present end. Raises LedgerUnavailable, sqlite3.Error,
        OSError."""
        store = self._store
        if ends is None or store is None:
            store = self._opened()
        if self._reader is None:
            self._reader = invoices_reader(self._settings)
        if ends is None:
            store.follow_to_end(self._reader)
        else:
            store.follow(self._reader, ends)
        return store

    def _opened(self) -> InvoiceStore:
        """The store of the log that Kafka has now and of the file that is used now: another process may have made the
        file anew, and the topic may be another one than at the last use."""
        if self._admin is None:
            self._admin = AdminClient(self._settings.librdkafka() | {"log_level": 2})
        log = log_id(self._settings, self._admin)
        if log != self._log:
            self._let_go()
            self._log = log
        folder = snapshot_folder(self._settings)
        if folder is None:
            self._folder = self._folder or TemporaryDirectory(prefix="weir-invoices-")
            folder = Path(self._folder.name)
        if self._store is None or str(snapshot_file(folder, log)) != self._store.path:
            if self._store is not None:
                self._store.close()
                self._store = None
            self._store = InvoiceStore(str(usable_file(folder, log)), log)
        return self._store

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._store is not None:
            self._store.close()
            self._store = None

    def close(self) -> None:
        """Leave the brokers and the snapshot."""
        with self._lock:
            self._let_go()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None


def _of(chain: list[Invoice], invoice_id: str) -> Invoice | None:
    return next((invoice for invoice in chain if invoice.invoice_id == invoice_id), None)
