"""The fold of usage.invoices in a file: which records are valid, and every invoice by its chain.

A cache, never a second truth: each record goes through the rule that every reader of the log obeys
(``first_valid.FirstValid``), and the file is made anew from the log where it is absent, damaged, of another version, or
of another log. `weir verify` compares it with the log. Several processes may share the file; each adds what the log has
beyond it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from rating.invoices.snapshot.followed_log import FollowedLog
from rating.invoices.snapshot.published_lot import PublishedLot
from rating.invoices.snapshot.quiet import is_quiet
from rating.invoices.snapshot.snapshot_file import make_snapshot_anew, open_snapshot
from rating.invoices.snapshot.snapshot_folder import succeed
from rating.invoices.snapshot.stored_claims import Claims
from rating.invoices.snapshot.stored_record import decode_stored, encode_stored
from schemas.ledgers.folds.fold_file import DamagedFile, is_damage, transaction
from schemas.ledgers.folds.stored_places import read_places, read_positions, write_places
from schemas.ledgers.invoice_claims import is_draft
from schemas.ledgers.invoice_record import Invoice, readable_invoice
from schemas.ledgers.ledger_reader import STALLED_SECONDS, LogRecord
from schemas.ledgers.log_place import BEGINNING, LogPlace, LogReplaced

log = logging.getLogger(__name__)

_AT_ONCE: Final = 5000
_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
"""As much is held of the log before it is written to the file, or one lot where that is more."""
_NOTHING_DECODED: Final[Mapping[int, Invoice]] = {}
_CONTENTS: Final = (
    "SELECT 'invoice', namespace, invoice_id || iif(draft, ' (draft)', ''), subscription, account, open, version,"
    " quiet, record, row_number() OVER (PARTITION BY namespace, subscription, draft ORDER BY place)"
    " FROM invoices ORDER BY 2, 3",
    "SELECT 'chain', chains.namespace, chains.subscription, invoice_id, head, run, notes"
    " FROM chains LEFT JOIN invoices ON place = last ORDER BY 2, 3",
    "SELECT 'fact', '', key, value FROM facts ORDER BY key",
)


class InvoiceStore:
    """``path``: the file, "" for a temporary one of this object's own. ``log_id``: tells one log from another that has
    its name. ``soon``: the namespace whose ``tails`` are asked for after following, so that what is read for one is not
    decoded again for the other. ``on_valid`` is called with each valid record that is applied. For one thread at a
    time. Close it."""

    def __init__(
        self, path: str, log_id: str, soon: str | None = None, on_valid: Callable[[Invoice], None] | None = None
    ) -> None:
        self.path = path
        self._on_valid = on_valid
        self._soon = soon
        self._decoded: dict[str, tuple[int, Invoice]] = {}
        self._log_id = log_id
        self._recognised = False  # that the log is the one whose records the file has
        self._database = open_snapshot(path, log_id)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def succeed_if_damaged(self, error: sqlite3.Error) -> bool:
        """Have another file made in place of this one if ``error`` says that it is damaged; whether that is so. Raises
        sqlite3.Error, OSError."""
        if not self.path or not is_damage(error):
            return False
        succeed(Path(self.path), self._log_id, error)
        return True

    def follow_to_end(self, reader: FollowedLog, stalled: float = STALLED_SECONDS) -> None:
        """``follow`` to the log's present end. A log that ends before what the file has is another one by its contents:
        the file is made anew."""
        known, ends = self.places(), reader.end_offsets()
        if any(position.next_offset > ends.get(number, 0) for number, position in known.items()):
            log.warning("%s has records that the log lacks, and is made anew", self.path)
            self._make_anew(known)
        self.follow(reader, ends, stalled)

    def follow(self, reader: FollowedLog, ends: Mapping[int, int], stalled: float = STALLED_SECONDS) -> None:
        """Apply what the log has up to ``ends`` and the file lacks; ``reader`` follows usage.invoices. A log that has
        another record where the file's last one was is another one, too. Raises LedgerUnavailable; what was read by
        then stays."""
        while True:
            known = self.places()
            try:
                if self._followed(reader, known, ends, stalled):
                    self._recognised = True
                    return
            except LogReplaced as error:
                log.warning("%s is made anew: %s", self.path, error)
                self._make_anew(known)
            else:
                log.warning("%s was made anew by another process, and is followed from its beginning", self.path)

    def _make_anew(self, known: Mapping[int, LogPlace]) -> None:
        with transaction(self._database):
            if self.places() == known:  # else another process has made it anew already
                make_snapshot_anew(self._database, self._log_id)
        self._decoded.clear()

    def _followed(
        self, reader: FollowedLog, known: Mapping[int, LogPlace], ends: Mapping[int, int], stalled: float
    ) -> bool:
        """False if the file does not have any longer what it had (``known``)."""
        places = {number: known.get(number, BEGINNING) for number in reader.positions}
        if self._recognised and all(places[number].next_offset >= end for number, end in ends.items()):
            return True
        reader.resume(places)
        begin = {number: position.next_offset for number, position in places.items()}
        pending: list[LogRecord] = []
        size = 0
        for lot in reader.lots_to(ends, stalled):
            pending += lot
            size += sum(len(record.value) for record in lot)
            if len(pending) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
                places = reader.places()
                if not self.apply(pending, begin, places):
                    return False
                begin |= {number: position.next_offset for number, position in places.items()}
                pending.clear()
                size = 0
        return self.apply(pending, begin, reader.places())

    def apply(self, records: Iterable[LogRecord], begin: Mapping[int, int], end: Mapping[int, LogPlace]) -> bool:
        """Apply records, all that the log has from ``begin`` on; it is read on at ``end``. False, and nothing is
        applied, if the file lacks some before them. What it has already is passed over: a record that was void once may
        not be offered again."""
        return self._apply(((record.partition, record.offset, record.value) for record in records), begin, end)

    def take(self, lot: PublishedLot) -> bool:
        """``apply`` for what this process wrote."""
        return self._apply(((*place, invoice) for place, invoice in lot.invoices), lot.begin, lot.end)

    def _apply(
        self, records: Iterable[tuple[int, int, bytes | Invoice]], begin: Mapping[int, int], end: Mapping[int, LogPlace]
    ) -> bool:
        """``records``: partition, offset, and the record as it is written or decoded."""
        with transaction(self._database):
            known = self.positions()
            if any(known.get(number, 0) < offset for number, offset in begin.items()):
                return False
            claims = Claims(self._database)
            sql = "SELECT EXISTS (SELECT 1 FROM invoices WHERE draft = 1 AND open = 1)"
            drafted = bool(self._database.execute(sql).fetchone()[0])
            for partition, offset, record in records:
                if offset >= known.get(partition, 0):
                    invoice = readable_invoice(record) if isinstance(record, bytes) else record
                    if invoice is not None and claims.valid.offer(invoice):
                        drafted = drafted or is_draft(invoice)
                        self._keep(invoice, claims, drafted)
                        if self._on_valid is not None:
                            self._on_valid(invoice)
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", claims.facts())
            further = {
                number: position for number, position in end.items() if position.next_offset > known.get(number, 0)
            }
            write_places(self._database, further)
        return True

    def _keep(self, invoice: Invoice, claims: Claims, drafted: bool) -> None:
        """``drafted``: whether there may be a draft of it."""
        execute = self._database.execute
        namespace, name, subscription = invoice.namespace, invoice.invoice_id, invoice.subscription
        chain = (namespace, subscription)
        draft, record = is_draft(invoice), encode_stored(invoice)
        values = (invoice.account_id, invoice.version, not draft and is_quiet(invoice), record, crc32(record))
        if invoice.version > 1:
            self._decoded.pop(subscription, None)
            sql = "UPDATE invoices SET account = ?, version = ?, quiet = ?, record = ?, checksum = ?"
            execute(f"{sql} WHERE namespace = ? AND invoice_id = ? AND draft = ?", (*values, namespace, name, draft))
            if not draft:
                sql = "UPDATE chains SET head = ?, run = ?, notes = ? WHERE namespace = ? AND subscription = ?"
                execute(sql, (*claims.of_chain(chain), *chain))
            return
        row_number = execute(
            "INSERT INTO invoices (account, version, quiet, record, checksum, namespace, invoice_id, draft,"
            " subscription, open) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, namespace, name, draft, subscription, draft),
        ).lastrowid
        if draft:
            return
        if drafted:
            sql = "UPDATE invoices SET open = 0 WHERE namespace = ? AND invoice_id = ? AND draft = 1"
            execute(sql, (namespace, name))
        if namespace == self._soon:
            self._decoded[subscription] = int(row_number or 0), invoice
        execute(
            "INSERT OR REPLACE INTO chains VALUES (?, ?, ?, ?, ?, ?)", (*chain, row_number, *claims.of_chain(chain))
        )

    def positions(self) -> dict[int, int]:
        """Partition → next offset: every record below it is applied."""
        return read_positions(self._database)

    def places(self) -> dict[int, LogPlace]:
        """Partition → where the log is read on."""
        return read_places(self._database)

    @contextmanager
    def as_it_stands(self) -> Iterator[Mapping[int, int]]:
        """The positions; until the end of the context all that is read is of them, whatever others add."""
        self._database.execute("BEGIN")
        try:
            yield self.positions()
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def claims(self, whole: str | None = None) -> Claims:
        """The state of all claims, to go on from; nothing of that is written to the file. ``whole``: see ``Claims``."""
        return Claims(self._database, whole)

    def tails(self, namespace: str) -> Iterator[Invoice]:
        """Of each chain the last invoice, all of a chain with one that is not quiet; in its order."""
        decoded = dict(self._decoded.values()) if namespace == self._soon else {}
        self._decoded.clear()
        self._soon = None
        return self._invoices(
            "SELECT last FROM chains WHERE namespace = :namespace"
            " UNION SELECT place FROM invoices WHERE namespace = :namespace AND draft = 0 AND subscription IN"
            " (SELECT subscription FROM invoices WHERE namespace = :namespace AND draft = 0 AND quiet = 0)",
            {"namespace": namespace},
            decoded,
        )

    def chain(self, namespace: str, subscription: str) -> list[Invoice]:
        """All invoices of a chain, in its order."""
        places = "SELECT place FROM invoices WHERE namespace = :namespace AND subscription = :name AND draft = 0"
        return list(self._invoices(places, {"namespace": namespace, "name": subscription}))

    def drafts(self, namespace: str) -> Iterator[Invoice]:
        """The drafts that have not become invoices, withdrawn or not, in the order in which they were made."""
        places = "SELECT place FROM invoices WHERE namespace = :namespace AND draft = 1 AND open = 1"
        return self._invoices(places, {"namespace": namespace})

    def draft(self, namespace: str, invoice_id: str) -> Invoice | None:
        """The newest version of a draft that has not become an invoice, withdrawn or not."""
        places = "SELECT place FROM invoices WHERE namespace = :namespace AND invoice_id = :name AND draft = 1 AND open"
        return next(self._invoices(places, {"namespace": namespace, "name": invoice_id}), None)

    def _invoices(
        self, places: str, values: Mapping[str, str], decoded: Mapping[int, Invoice] = _NOTHING_DECODED
    ) -> Iterator[Invoice]:
        columns = "place, invoice_id, version, record, checksum"
        sql = f"SELECT {columns} FROM invoices WHERE place IN ({places}) ORDER BY place"
        for row_number, name, version, record, checksum in self._database.execute(sql, values):
            invoice = decoded.get(row_number)
            # Another process may have written a later version, or made the file anew, since this one was read.
            if invoice is None or (invoice.invoice_id, invoice.version) != (name, version):
                if crc32(record) != checksum:
                    raise DamagedFile(f"the record of {name} is not the one that was written")
                invoice = decode_stored(name, record)
            yield invoice

    def namespaces(self) -> list[str]:
        """All with an invoice or draft."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT namespace FROM invoices ORDER BY 1")]

    def in_order(self, namespace: str, *, drafts: bool, since_us: int | None = None) -> Iterator[Invoice]:
        """The newest versions of all invoices, or of the drafts that have not become invoices, in the order of their
        ids; ``since_us``: of those whose period ends later."""
        columns = "invoice_id, record"
        sql = f"SELECT {columns} FROM invoices WHERE namespace = ? AND draft = ? AND open = draft ORDER BY invoice_id"
        for row in self._database.execute(sql, (namespace, drafts)):
            invoice = decode_stored(*row)
            if since_us is None or invoice.period_end > since_us:
                yield invoice

    def newest(self, namespace: str, invoice_id: str, *, draft: bool) -> Invoice | None:
        """The newest version of an invoice, or of a draft that has not become one."""
        sql = "SELECT record FROM invoices WHERE namespace = ? AND invoice_id = ? AND draft = ? AND open = draft"
        row = self._database.execute(sql, (namespace, invoice_id, draft)).fetchone()
        return None if row is None else decode_stored(invoice_id, row[0])

    def subscriptions(self, namespace: str, account_id: str | None = None) -> list[str]:
        """The subscriptions with a chain; of one account, if it is given."""
        if account_id is None:
            rows = self._database.execute("SELECT subscription FROM chains WHERE namespace = ?", (namespace,))
        else:  # by invoices: an account may be corrected, and those of before are the former one's
            sql = "SELECT DISTINCT subscription FROM invoices WHERE namespace = ? AND account = ? AND draft = 0"
            rows = self._database.execute(sql, (namespace, account_id))
        return [name for (name,) in rows]

    def count(self, namespace: str) -> int:
        """Number of invoices."""
        sql = "SELECT count(*) FROM invoices WHERE namespace = ? AND draft = 0"
        return int(self._database.execute(sql, (namespace,)).fetchone()[0])

    def draft_versions(self, namespace: str) -> int:
        """Number of draft versions, also of those that have become invoices."""
        sql = "SELECT coalesce(sum(version), 0) FROM invoices WHERE namespace = ? AND draft = 1"
        return int(self._database.execute(sql, (namespace,)).fetchone()[0])

    def contents(self) -> Generator[tuple[Any, ...], None, None]:
        """All that it has, in an order that does not depend on how the log was read: of two stores of one log at the
        same positions they are equal."""
        for sql in _CONTENTS:
            yield from self._database.execute(sql)
