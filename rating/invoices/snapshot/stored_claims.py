"""The state of the claims to be the next record of an invoice or chain, as the snapshot's file has it: keys are looked
up when they are asked for, so that going on from a long log costs what is new."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Iterator
from typing import Any, Final

import msgspec

from schemas.ledgers.first_valid import FirstValid
from schemas.ledgers.folds.stored_fold import ABSENT, StoredClaimState, decoded_state
from schemas.ledgers.invoice_claims import ValidInvoices

_OF_CHAIN: Final = ("run", "notes")


class Claims:
    """The state of the claims as the file has it, with what is offered to ``valid`` since. The file must stand still
    meanwhile. ``whole``: the namespace of which most chains are asked for: they are read at once, when one is."""

    def __init__(self, database: sqlite3.Connection, whole: str | None = None) -> None:
        chains = _Chains(database, whole)
        self._heads, self._facts = _Heads(chains), _Facts(database, chains)
        self.valid = ValidInvoices(FirstValid(_Versions(database), self._heads, self._facts))

    def facts(self) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of what the file lacks, but for what rows of invoices and chains have."""
        return self._facts.rows()

    def of_chain(self, chain: tuple[str, str]) -> list[bytes | None]:
        """Head and facts of a chain, as its row has them."""
        values = [self._heads.get(chain), *(self._facts.get((chain, name)) for name in _OF_CHAIN)]
        return [None if value is None else msgspec.json.encode(value) for value in values]


class _Versions(StoredClaimState):
    """Of invoices and drafts, whose rows have them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__()
        self._database = database
        self._empty = _is_empty(database, "invoices")

    def stored(self, key: Hashable) -> Any:
        if self._empty or not isinstance(key, tuple):
            return ABSENT
        draft = isinstance(key[0], tuple)  # (key of the invoice, "draft")
        namespace, name = key[0] if draft else key
        sql = "SELECT version FROM invoices WHERE namespace = ? AND invoice_id = ? AND draft = ?"
        row = self._database.execute(sql, (namespace, name, draft)).fetchone()
        return ABSENT if row is None else row[0]


class _Heads(StoredClaimState):
    """Of chains, whose rows have them."""

    def __init__(self, chains: _Chains) -> None:
        super().__init__()
        self._chains = chains

    def stored(self, key: Hashable) -> Any:
        return self._chains.value(key, 0)


class _Facts(StoredClaimState):
    """Those of chains are in their rows."""

    def __init__(self, database: sqlite3.Connection, chains: _Chains) -> None:
        super().__init__()
        self._database = database
        self._chains = chains
        self._empty = _is_empty(database, "facts")

    def stored(self, key: Hashable) -> Any:
        assert isinstance(key, tuple)
        of, name = key
        if name in _OF_CHAIN:
            return self._chains.value(of, 1 + _OF_CHAIN.index(name))
        if self._empty:
            return ABSENT
        sql = "SELECT value FROM facts WHERE key = ?"
        row = self._database.execute(sql, (msgspec.json.encode(key),)).fetchone()
        return ABSENT if row is None else decoded_state(row[0], "fact", key)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """What the file lacks, but for those of chains."""
        for key, value in self.changed.items():
            assert isinstance(key, tuple)
            if key[1] not in _OF_CHAIN:
                yield msgspec.json.encode(key), msgspec.json.encode(value)


class _Chains:
    """Head and facts of chains as the file has them, each row read once."""

    def __init__(self, database: sqlite3.Connection, whole: str | None) -> None:
        self._database = database
        self._rows: dict[Hashable, tuple[bytes | None, ...]] = {}
        self._empty = _is_empty(database, "chains")
        self._whole = whole
        self._read: str | None = None

    def value(self, chain: Hashable, column: int) -> Any:
        """The head (0) or a fact; ABSENT if there is none."""
        if self._empty:
            return ABSENT
        assert isinstance(chain, tuple)
        if self._whole == chain[0]:
            sql = "SELECT namespace, subscription, head, run, notes FROM chains WHERE namespace = ?"
            rows = self._database.execute(sql, (self._whole,))
            self._rows |= {(row[0], row[1]): row[2:] for row in rows}
            self._whole, self._read = None, self._whole
        row = self._rows.get(chain)
        if row is None and chain[0] == self._read:
            return ABSENT
        if row is None:
            sql = "SELECT head, run, notes FROM chains WHERE namespace = ? AND subscription = ?"
            row = self._rows[chain] = self._database.execute(sql, chain).fetchone() or (None, None, None)
        encoded = row[column]
        return ABSENT if encoded is None else decoded_state(encoded, "claims", chain)


def _is_empty(database: sqlite3.Connection, table: str) -> bool:
    """Whether a table has nothing, so that nothing need be looked up, as while a log is read from its beginning."""
    return not database.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]
