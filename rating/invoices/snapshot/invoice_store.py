"""The fold of usage.invoices in a file: which records are valid, and every invoice by its chain.

A cache, never a second truth: each record goes through the rule that every reader of the log obeys
(``first_valid.FirstValid``), and the file is made anew from the log where it is absent, of another version, or of
another log. `weir verify` compares it with the log. Several processes may share the file; each adds what the log has
beyond it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from rating.invoices.snapshot.quiet import is_quiet
from schemas.ledgers.first_valid import FirstValid
from schemas.ledgers.invoice_claims import VOID, is_draft
from schemas.ledgers.invoice_record import Invoice, decode_invoice
from schemas.ledgers.ledger_reader import STALLED_SECONDS, LedgerReader, LogRecord
from schemas.ledgers.valid_invoices import ValidInvoices

log = logging.getLogger(__name__)

VERSION: Final = 2
"""Of the tables and of ``is_quiet``: raise it with either."""
_AT_ONCE: Final = 5000
_TABLES: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE facts (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE invoices (place INTEGER PRIMARY KEY, namespace TEXT, subscription TEXT, account TEXT, invoice_id TEXT,
    draft INTEGER, open INTEGER, version INTEGER, quiet INTEGER, record BLOB, UNIQUE (namespace, invoice_id, draft));
CREATE INDEX of_chain ON invoices (namespace, subscription, place) WHERE draft = 0;
CREATE INDEX not_quiet ON invoices (namespace) WHERE draft = 0 AND quiet = 0;
CREATE INDEX of_account ON invoices (namespace, account, subscription) WHERE draft = 0;
CREATE INDEX drafts ON invoices (namespace, open, version) WHERE draft = 1;
CREATE TABLE chains (namespace TEXT, subscription TEXT, account TEXT, last INTEGER, broken INTEGER, head BLOB, run BLOB,
    notes BLOB, PRIMARY KEY (namespace, subscription)) WITHOUT ROWID;
"""


_NOTHING_DECODED: Final[Mapping[int, Invoice]] = {}
_CONTENTS: Final = (
    "SELECT 'invoice', namespace, invoice_id || iif(draft, ' (draft)', ''), subscription, account, open, version,"
    " quiet, record, row_number() OVER (PARTITION BY namespace, subscription, draft ORDER BY place)"
    " FROM invoices ORDER BY 2, 3",
    "SELECT 'chain', chains.namespace, chains.subscription, chains.account, invoice_id, broken, head, run, notes"
    " FROM chains LEFT JOIN invoices ON place = last ORDER BY 2, 3",
    "SELECT 'fact', '', key, value FROM facts ORDER BY key",
)


class _ClaimColumn(ABC):
    """One part of the claims' state by key, read from the file when it is asked for. ``changed``: what the file does
    not have yet."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.changed: dict[Hashable, Any] = {}

    @abstractmethod
    def stored(self, key: Hashable) -> Any:
        """The value in the file; _ABSENT if there is none."""

    def get(self, key: Hashable, otherwise: Any = None) -> Any:
        value = self.changed[key] if key in self.changed else self.stored(key)
        return otherwise if value is _ABSENT else value

    def __contains__(self, key: Hashable) -> bool:
        return self.get(key, _ABSENT) is not _ABSENT

    def __setitem__(self, key: Hashable, value: Any) -> None:
        self.changed[key] = value


class _Versions(_ClaimColumn):
    """Of invoices and drafts, whose rows have them."""

    def stored(self, key: Hashable) -> Any:
        if not isinstance(key, tuple):
            return _ABSENT
        draft = isinstance(key[0], tuple)  # (key of the invoice, "draft")
        namespace, name = key[0] if draft else key
        sql = "SELECT version FROM invoices WHERE namespace = ? AND invoice_id = ? AND draft = ?"
        row = self._database.execute(sql, (namespace, name, draft)).fetchone()
        return _ABSENT if row is None else row[0]


class _Heads(_ClaimColumn):
    """Of chains, whose rows have them."""

    def __init__(self, database: sqlite3.Connection, chains: _Chains) -> None:
        super().__init__(database)
        self._chains = chains

    def stored(self, key: Hashable) -> Any:
        return self._chains.value(key, 0)


class _Facts(_ClaimColumn):
    """Those of chains are in their rows."""

    def __init__(self, database: sqlite3.Connection, chains: _Chains) -> None:
        super().__init__(database)
        self._chains = chains

    def stored(self, key: Hashable) -> Any:
        assert isinstance(key, tuple)
        of, name = key
        if name in _OF_CHAIN:
            return self._chains.value(of, 1 + _OF_CHAIN.index(name))
        sql = "SELECT value FROM facts WHERE key = ?"
        row = self._database.execute(sql, (msgspec.json.encode(key),)).fetchone()
        return _ABSENT if row is None else _tuples(msgspec.json.decode(row[0]))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """What the file lacks, but for those of chains."""
        for key, value in self.changed.items():
            assert isinstance(key, tuple)
            if key[1] not in _OF_CHAIN:
                yield msgspec.json.encode(key), msgspec.json.encode(value)


class _Chains:
    """Head and facts of chains as the file has them, each row read once."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._rows: dict[Hashable, tuple[bytes | None, ...]] = {}

    def value(self, chain: Hashable, column: int) -> Any:
        """The head (0) or a fact; _ABSENT if there is none."""
        row = self._rows.get(chain)
        if row is None:
            sql = "SELECT head, run, notes FROM chains WHERE namespace = ? AND subscription = ?"
            assert isinstance(chain, tuple)
            row = self._rows[chain] = self._database.execute(sql, chain).fetchone() or (None, None, None)
        encoded = row[column]
        return _ABSENT if encoded is None else _tuples(msgspec.json.decode(encoded))


_OF_CHAIN: Final = ("run", "notes")
_ABSENT: Final = object()


def _tuples(value: Any) -> Any:
    """Keys and values of claims are tuples, which JSON has no word for."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class InvoiceStore:
    """``path``: the file, "" for a temporary one of this object's own. ``log_id``: tells one log from another that has
    its name. ``soon``: the namespace whose ``tails`` are asked for after following, so that what is read for one is not
    decoded again for the other. For one thread at a time. Close it."""

    def __init__(self, path: str, log_id: str, soon: str | None = None) -> None:
        self._path = path
        self._soon = soon
        self._decoded: dict[str, tuple[int, Invoice]] = {}
        self._about = {"version": str(VERSION), "log": log_id}
        try:
            self._database = self._opened()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise  # another process may be at it
            log.warning("%s cannot be read and is made anew: %s", path, error)
            for part in ("", "-wal", "-shm"):
                Path(path + part).unlink(missing_ok=True)
            self._database = self._opened()

    def _opened(self) -> sqlite3.Connection:
        """The file; what it has of another version or log is dropped. Raises sqlite3.DatabaseError."""
        if self._path:  # all tenants' invoices: nobody else's to read
            # Only where it is new: closing a file that this process has open elsewhere would end SQLite's locks on it.
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        database = sqlite3.connect(self._path, timeout=60.0, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA cache_size = -16384")
            with _transaction(database):
                about = dict(database.execute("SELECT name, value FROM about")) if "about" in _tables(database) else {}
                if about and about != self._about:
                    log.warning("%s is of another version or log, and is made anew: %s", self._path, about)
                if about != self._about:
                    self._make_anew(database)
        except BaseException:
            database.close()
            raise
        return database

    def _make_anew(self, database: sqlite3.Connection) -> None:
        for name in _tables(database):
            database.execute(f"DROP TABLE {name}")
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.executemany("INSERT INTO about VALUES (?, ?)", self._about.items())

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def follow_to_end(self, reader: LedgerReader, stalled: float = STALLED_SECONDS) -> None:
        """``follow`` to the log's present end. A log that ends before what the file has is another one by its contents:
        the file is made anew."""
        known, ends = self.positions(), reader.end_offsets()
        if any(known.get(number, 0) > end for number, end in ends.items()):
            log.warning("%s has records that the log lacks, and is made anew", self._path)
            with _transaction(self._database):
                self._make_anew(self._database)
        self.follow(reader, ends, stalled)

    def follow(self, reader: LedgerReader, ends: Mapping[int, int], stalled: float = STALLED_SECONDS) -> None:
        """Apply what the log has up to ``ends`` and the file lacks; ``reader`` follows usage.invoices. Raises
        LedgerUnavailable; what was read by then stays."""
        while not self._followed(reader, ends, stalled):
            log.warning("%s was made anew by another process, and is followed from its beginning", self._path)

    def _followed(self, reader: LedgerReader, ends: Mapping[int, int], stalled: float) -> bool:
        """False if the file does not have any longer what it had."""
        known = self.positions()
        begin = {number: known.get(number, 0) for number in reader.positions}
        reader.seek(begin)
        pending: list[LogRecord] = []
        for lot in reader.lots_to(ends, stalled):
            pending += lot
            if len(pending) >= _AT_ONCE:
                if not self.apply(pending, begin, reader.resumable()):
                    return False
                begin |= reader.resumable()
                pending.clear()
        return self.apply(pending, begin, reader.resumable())

    def apply(self, records: Iterable[LogRecord], begin: Mapping[int, int], end: Mapping[int, int]) -> bool:
        """Apply records, all that the log has from ``begin`` on; it can be read on at ``end``. False, and nothing is
        applied, if the file lacks some before them. What it has already is passed over."""
        with _transaction(self._database):
            known = self.positions()
            if any(known.get(number, 0) < offset for number, offset in begin.items()):
                return False
            claims = Claims(self._database)
            sql = "SELECT EXISTS (SELECT 1 FROM invoices WHERE draft = 1 AND open = 1)"
            drafted = bool(self._database.execute(sql).fetchone()[0])
            for record in records:
                if record.offset >= known.get(record.partition, 0):
                    invoice = claims.valid.offer_bytes(record.value)
                    if invoice is not None:
                        drafted = drafted or is_draft(invoice)
                        self._keep(invoice, record.value, claims, drafted)
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", claims.facts())
            self._database.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?)",
                [(number, offset) for number, offset in end.items() if offset > known.get(number, 0)],
            )
        return True

    def _keep(self, invoice: Invoice, record: bytes, claims: Claims, drafted: bool) -> None:
        """``drafted``: whether there may be a draft of it."""
        execute = self._database.execute
        namespace, name, subscription = invoice.namespace, invoice.invoice_id, invoice.subscription
        chain = (namespace, subscription)
        draft = is_draft(invoice)
        values = (invoice.account_id, invoice.version, not draft and is_quiet(invoice), record)
        if invoice.version > 1:
            self._decoded.pop(subscription, None)
            sql = "UPDATE invoices SET account = ?, version = ?, quiet = ?, record = ?"
            execute(f"{sql} WHERE namespace = ? AND invoice_id = ? AND draft = ?", (*values, namespace, name, draft))
            if not draft:
                sql = "UPDATE chains SET head = ?, run = ?, notes = ?, broken = broken OR ?"
                state = (*claims.of_chain(chain), invoice.state == VOID)
                execute(f"{sql} WHERE namespace = ? AND subscription = ?", (*state, *chain))
            return
        place = execute(
            "INSERT INTO invoices (account, version, quiet, record, namespace, invoice_id, draft, subscription, open)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, namespace, name, draft, subscription, draft),
        ).lastrowid
        if draft:
            return
        if drafted:
            sql = "UPDATE invoices SET open = 0 WHERE namespace = ? AND invoice_id = ? AND draft = 1"
            execute(sql, (namespace, name))
        if namespace == self._soon:
            self._decoded[subscription] = int(place or 0), invoice
        execute(
            "INSERT INTO chains VALUES (?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET last = excluded.last, head = excluded.head, run = excluded.run, notes = excluded.notes",
            (*chain, invoice.account_id, place, *claims.of_chain(chain)),
        )

    def positions(self) -> dict[int, int]:
        """Partition → next offset: every record below it is applied."""
        return dict(self._database.execute("SELECT partition, next_offset FROM positions"))

    @contextmanager
    def as_it_stands(self) -> Iterator[Mapping[int, int]]:
        """The positions; until the end of the context all that is read is of them, whatever others add."""
        self._database.execute("BEGIN")
        try:
            yield self.positions()
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def claims(self) -> Claims:
        """The state of all claims, to go on from; nothing of that is written to the file."""
        return Claims(self._database)

    def tails(self, namespace: str) -> Iterator[Invoice]:
        """Of each chain the last invoice, all of a chain with one that is not quiet; in its order."""
        decoded = dict(self._decoded.values()) if namespace == self._soon else {}
        self._decoded.clear()
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
        sql = f"SELECT place, invoice_id, version, record FROM invoices WHERE place IN ({places}) ORDER BY place"
        for place, name, version, record in self._database.execute(sql, values):
            invoice = decoded.get(place)
            # Another process may have written a later version, or made the file anew, since this one was read.
            if invoice is None or (invoice.invoice_id, invoice.version) != (name, version):
                invoice = decode_invoice(record)
            yield invoice

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

    def contents(self) -> Iterator[tuple[Any, ...]]:
        """All that it has, in an order that does not depend on how the log was read: of two stores of one log at the
        same positions they are equal."""
        for sql in _CONTENTS:
            yield from self._database.execute(sql)


class Claims:
    """The state of the claims as the file has it, with what is offered to ``valid`` since."""

    def __init__(self, database: sqlite3.Connection) -> None:
        chains = _Chains(database)
        self._heads, self._facts = _Heads(database, chains), _Facts(database, chains)
        self.valid = ValidInvoices(FirstValid(_Versions(database), self._heads, self._facts))

    def facts(self) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of what the file lacks, but for what rows of invoices and chains have."""
        return self._facts.rows()

    def of_chain(self, chain: tuple[str, str]) -> list[bytes | None]:
        """Head and facts of a chain, as its row has them."""
        values = [self._heads.get(chain), *(self._facts.get((chain, name)) for name in _OF_CHAIN)]
        return [None if value is None else msgspec.json.encode(value) for value in values]


def _tables(database: sqlite3.Connection) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:  # a full disk, for one, has ended it
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
