"""The state of usage.invoices: valid invoices and each subscription's chain (first valid record wins)."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from confluent_kafka import KafkaException

from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoices.snapshot.published_lot import PublishedLot
from rating.invoices.snapshot.quiet import is_quiet
from rating.invoices.snapshot.snapshot_folder import usable_file
from schemas.kafka.topics import INVOICES
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.invoice_claims import DRAFT, ValidInvoices, is_draft
from schemas.ledgers.invoice_record import Invoice, readable_invoice
from schemas.ledgers.ledger_reader import STALLED_SECONDS, LedgerReader
from schemas.ledgers.log_place import BEGINNING
from schemas.settings import Settings

log = logging.getLogger(__name__)


class StandingInvoices:
    """The valid invoices after the records applied so far. All records of a chain must be applied in log order.

    Drafts are kept separately and belong to no chain. ``applied``: number of valid records applied. ``only``: keep
    one namespace only; None: all.

    Of a store (``of_store``) it has the end of each chain, and all of a chain with an invoice that is not quiet
    (``quiet.is_quiet``); ``expand`` adds the rest of a chain where something touches it.
    """

    def __init__(self, only: str | None = None) -> None:
        self.applied = 0
        # A name stands in the records as it is, so most of other namespaces' need not be decoded.
        self._only = (only or "").encode()
        self._valid = ValidInvoices()
        self._drafts: dict[tuple[str, str], Invoice] = {}
        self._draft_versions: dict[str, int] = {}
        self._invoices: dict[tuple[str, str], Invoice] = {}
        self._chains: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[str, int] = {}
        self._store: InvoiceStore | None = None
        self._expanded: set[str] = set()
        self._published: list[PublishedLot] = []

    @classmethod
    def of_store(cls, store: InvoiceStore, namespace: str) -> StandingInvoices:
        """The namespace as ``store`` has it; further records are applied to this state alone. The store must stand
        still as long as this is used (``InvoiceStore.as_it_stands``)."""
        standing = cls(namespace)
        for invoice in store.tails(namespace):
            standing.assume(invoice)
        standing._drafts = {(namespace, draft.invoice_id): draft for draft in store.drafts(namespace)}
        standing._valid = store.claims(namespace).valid
        standing._counts = {namespace: store.count(namespace)}
        standing._draft_versions = {namespace: store.draft_versions(namespace)}
        standing._store = store
        return standing

    def expand(self, namespace: str, subscription: str) -> None:
        """Add the invoices of a chain that are not here."""
        if self._store is None or subscription in self._expanded:
            return
        self._expanded.add(subscription)
        earlier = self._store.chain(namespace, subscription)
        names = {invoice.invoice_id: None for invoice in earlier}
        names |= dict.fromkeys(self._chains.get((namespace, subscription), ()))  # and those that came since
        if names:
            self._chains[namespace, subscription] = list(names)
        for invoice in earlier:
            self._invoices.setdefault((namespace, invoice.invoice_id), invoice)

    def expand_account(self, namespace: str, account_id: str | None) -> None:
        """``expand`` for all chains of an account; None: of all accounts."""
        if self._store is not None:
            for subscription in self._store.subscriptions(namespace, account_id):
                self.expand(namespace, subscription)

    @classmethod
    def holding(cls, invoices: Iterable[Invoice]) -> StandingInvoices:
        """A state with these invoices, each chain in order. No claims can be checked against it; ``assume`` adds
        further invoices."""
        standing = cls()
        for invoice in invoices:
            standing.assume(invoice)
        return standing

    def assume(self, invoice: Invoice) -> None:
        """Append an invoice to its chain without checking its claim, for hypothetical states."""
        self._invoices[invoice.namespace, invoice.invoice_id] = invoice
        self._counts[invoice.namespace] = self._counts.get(invoice.namespace, 0) + 1
        self._chains.setdefault((invoice.namespace, invoice.subscription), []).append(invoice.invoice_id)

    def apply(self, record: Invoice) -> bool:
        """Apply the next record; False if it is void."""
        if not self._valid.offer(record):
            return False
        self.applied += 1
        key = record.namespace, record.invoice_id
        if is_draft(record):
            self._drafts[key] = record
            self._draft_versions[key[0]] = self._draft_versions.get(key[0], 0) + 1
            return True
        if (record.version > 1 and key not in self._invoices) or (self._store is not None and not is_quiet(record)):
            self.expand(record.namespace, record.subscription)
        self._invoices[key] = record
        if record.version == 1:
            self._drafts.pop(key, None)
            self._counts[record.namespace] = self._counts.get(record.namespace, 0) + 1
            self._chains.setdefault((record.namespace, record.subscription), []).append(record.invoice_id)
        return True

    def apply_bytes(self, value: bytes) -> bool:
        """``apply`` for an encoded record; bytes that cannot be decoded are void."""
        record = readable_invoice(value) if self._only in value else None
        return record is not None and self.apply(record)

    def keep(self, lot: PublishedLot) -> None:
        """Remember what was published for the store, if there is one."""
        if self._store is not None:
            self._published.append(lot)

    def published(self) -> Iterator[PublishedLot]:
        """What ``keep`` was given, in order, each once."""
        while self._published:
            yield self._published.pop(0)

    def invoice(self, namespace: str, invoice_id: str) -> Invoice | None:
        """The newest version of an invoice."""
        return self._invoices.get((namespace, invoice_id))

    def draft(self, namespace: str, invoice_id: str) -> Invoice | None:
        """The newest version of a draft that has not become an invoice, withdrawn or not."""
        return self._drafts.get((namespace, invoice_id))

    def drafts(self, namespace: str) -> list[Invoice]:
        """The newest versions of all present drafts."""
        return [draft for (owner, _), draft in self._drafts.items() if owner == namespace and draft.state == DRAFT]

    def draft_versions(self, namespace: str) -> int:
        """Number of draft versions so far."""
        return self._draft_versions.get(namespace, 0)

    def invoices(self, namespace: str) -> list[Invoice]:
        """The newest versions of all invoices of a namespace that are here."""
        return [invoice for (owner, _), invoice in self._invoices.items() if owner == namespace]

    def namespaces(self) -> list[str]:
        """All namespaces with an invoice or draft."""
        return sorted({owner for ledger in (self._invoices, self._drafts) for owner, _ in ledger})

    def count(self, namespace: str) -> int:
        """Number of valid invoices in the namespace, also of those that are not here."""
        return self._counts.get(namespace, 0)

    def chain(self, namespace: str, subscription: str) -> list[Invoice]:
        """The newest versions of a subscription's invoices, oldest first."""
        return [self._invoices[namespace, name] for name in self._chains.get((namespace, subscription), [])]

    def chains(self, namespace: str) -> Iterator[list[Invoice]]:
        """All chains of a namespace."""
        return (self.chain(owner, subscription) for owner, subscription in self._chains if owner == namespace)

    def head(self, namespace: str, subscription: str) -> Invoice | None:
        """The last invoice of the chain, which the next one names as its predecessor."""
        names = self._chains.get((namespace, subscription))
        return self._invoices[namespace, names[-1]] if names else None


def read_standing(
    reader: LedgerReader, standing: StandingInvoices, stalled: float = STALLED_SECONDS
) -> StandingInvoices:
    """Read ``reader``, which follows usage.invoices, to the log's present end, however long that takes. Raises
    LedgerUnavailable after ``stalled`` seconds in which nothing came."""
    for record in reader.read_to(reader.end_offsets(), stalled):
        standing.apply_bytes(record.value)
    return standing


def invoices_reader(settings: Settings) -> LedgerReader:
    """A reader of usage.invoices from its beginning. Raises LedgerUnavailable. Close it."""
    try:
        return LedgerReader(settings, INVOICES)
    except KafkaException as error:
        raise LedgerUnavailable(f"{INVOICES}: {error}") from error


@contextmanager
def followed_invoices(settings: Settings, namespace: str) -> Iterator[tuple[LedgerReader, StandingInvoices]]:
    """A reader of usage.invoices and the namespace's invoices as far as it has read: of the snapshot, which is brought
    up to the log's end, if there is a folder for it; else nothing yet. Raises LedgerUnavailable. sqlite3.Error may come
    of using what it gives; a file that turns out to be damaged is made anew for the next use. In the end what was
    published meanwhile is added to the snapshot."""
    with invoices_reader(settings) as reader, ExitStack() as stack, ExitStack() as standing_still:
        standing = StandingInvoices(namespace)
        store: InvoiceStore | None = None
        try:
            if folder := snapshot_folder(settings):
                store = stack.enter_context(closing(_followed_store(folder, log_id(settings), namespace, reader)))
                standing_still.enter_context(store.as_it_stands())
                # From its beginning where the file, which another process may have made anew, has nothing of it.
                reader.resume(dict.fromkeys(reader.positions, BEGINNING) | store.places())
                standing = StandingInvoices.of_store(store, namespace)
        except (sqlite3.Error, OSError) as error:  # it saves time and decides nothing
            log.warning("%s: no snapshot, the log is read from its beginning: %s", settings.snapshot_dir, error)
            _succeed(store, error)
            standing_still.close()
            stack.close()
            store = None
            reader.seek(dict.fromkeys(reader.positions, 0))
        try:
            yield reader, standing
        except sqlite3.Error as error:
            _succeed(store, error)
            raise
        if store is not None:
            standing_still.close()
            _bring_forward(store, reader, standing.published())


def _bring_forward(store: InvoiceStore, reader: LedgerReader, lots: Iterable[PublishedLot]) -> None:
    """Add what was published, and what others wrote before it, so that the next use decodes none of it. Whatever
    hinders it, the next use reads it from the log."""
    try:
        for lot in lots:
            store.follow(reader, lot.begin)
            store.take(lot)
    except (sqlite3.Error, OSError, LedgerUnavailable, KafkaException) as error:
        log.warning("%s lacks what was published: %s", store.path, error)
        _succeed(store, error)


def _succeed(store: InvoiceStore | None, error: Exception) -> None:
    with suppress(sqlite3.Error, OSError):  # as of a full disk: the next use tries again
        if store is not None and isinstance(error, sqlite3.Error):
            store.succeed_if_damaged(error)


def _followed_store(folder: Path, log: str, namespace: str, reader: LedgerReader) -> InvoiceStore:
    """At the log's end. Raises LedgerUnavailable, sqlite3.Error, OSError."""
    for last in (False, True):
        store = InvoiceStore(str(usable_file(folder, log)), log, namespace)
        try:
            store.follow_to_end(reader)
            return store
        except BaseException as error:
            again = not last and isinstance(error, sqlite3.Error) and store.succeed_if_damaged(error)
            store.close()
            if not again:
                raise
    raise AssertionError("the second time it returns or raises")


def snapshot_folder(settings: Settings) -> Path | None:
    """The folder of the snapshot, which is made; None if the settings name none. Raises OSError."""
    if not settings.snapshot_dir:
        return None
    folder = Path(settings.snapshot_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
