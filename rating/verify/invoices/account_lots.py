"""ClickHouse's invoices account by account, so that what is held of them at once is bounded: they are read once, in the
order of their ids, into a temporary file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from msgspec import msgpack

from rating.verify.chains import Head, StoredLine, StoredLines, head_of, heads_sql, line_of, lines_sql
from rating.verify.scope import Row, Scope

AT_ONCE: Final = 4_000
"""Invoices of a lot; one account's are never parted, nor are those of accounts that share a subscription."""
_ALIKE: Final = (1, 2, 8, 11, 12)
"""Places of kind, profile, price, charge and product in the row of a line."""
_TABLES: Final = """
CREATE TABLE heads (namespace TEXT, invoice_id TEXT, version INTEGER, account TEXT, subscription TEXT, holder TEXT,
    head BLOB, lines BLOB, PRIMARY KEY (namespace, invoice_id)) WITHOUT ROWID;
CREATE INDEX by_holder ON heads (namespace, holder);
"""
_SHARED: Final = """SELECT namespace, group_concat(DISTINCT hex(account)) FROM heads GROUP BY namespace, subscription
HAVING count(DISTINCT account) > 1"""


@dataclass(frozen=True)
class AccountLot:
    """All invoices of some accounts of a namespace, newest versions, and their lines."""

    namespace: str
    heads: list[Head]
    lines: StoredLines
    of: int
    """Invoices of all lots."""


def account_lots(scope: Scope, at_once: int = AT_ONCE) -> Iterator[AccountLot]:
    """All invoices of the scope, in lots."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.executescript(_TABLES)
        database.execute("BEGIN")
        _read(scope, database)
        _join_accounts(database)
        sql = "SELECT namespace, holder, count(*) FROM heads GROUP BY namespace, holder ORDER BY namespace, holder"
        holders = database.execute(sql)
        of = int(database.execute("SELECT count(*) FROM heads").fetchone()[0])
        for namespace, group in groupby(holders, key=lambda row: str(row[0])):
            first, size = "", 0
            last = ""
            for _, holder, count in group:
                if size and size + count > at_once:
                    yield _lot(database, namespace, (first, last), of)
                    first, size = holder, 0
                first = first if size else holder
                last, size = holder, size + count
            yield _lot(database, namespace, (first, last), of)


def _read(scope: Scope, database: sqlite3.Connection) -> None:
    with scope.stream(heads_sql(scope)) as rows:
        database.executemany(
            "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            ((row[0], row[1], row[2], row[6], row[4], row[6], msgpack.encode(row)) for row in rows),
        )
    with scope.stream(lines_sql(scope)) as rows:
        database.executemany(
            "UPDATE heads SET lines = ? WHERE namespace = ? AND invoice_id = ? AND version = ?", _lines(rows)
        )


def _lines(rows: Iterator[Row]) -> Iterator[tuple[bytes, str, str, int]]:
    for (namespace, name, version), group in groupby(rows, key=lambda row: (row[0], row[1], row[2])):
        yield msgpack.encode([row[3:] for row in group]), str(namespace), str(name), int(version)


def _join_accounts(database: sqlite3.Connection) -> None:
    """Accounts that had the same subscription, one after the other, get one holder."""
    holders: dict[tuple[str, str], str] = {}

    def of(namespace: str, account: str) -> str:
        while (holder := holders.get((namespace, account), account)) != account:
            account = holder
        return account

    for namespace, encoded in database.execute(_SHARED).fetchall():
        names = sorted(of(namespace, bytes.fromhex(account).decode()) for account in encoded.split(","))
        holders |= {(namespace, name): names[0] for name in names[1:]}
    database.executemany(
        "UPDATE heads SET holder = ? WHERE namespace = ? AND account = ?",
        [(of(*key), *key) for key in holders],
    )


def _lot(database: sqlite3.Connection, namespace: str, holders: tuple[str, str], of: int) -> AccountLot:
    heads: list[Head] = []
    lines: dict[tuple[str, str, int], list[StoredLine]] = {}
    sql = "SELECT head, lines FROM heads WHERE namespace = ? AND holder >= ? AND holder <= ?"
    texts: dict[str, str] = {}
    for head_row, line_rows in database.execute(sql, (namespace, *holders)):
        head = head_of(msgpack.decode(head_row))
        heads.append(head)
        if line_rows is not None:
            rows = msgpack.decode(line_rows)
            lines[head.namespace, head.invoice_id, head.version] = [_line(row, texts) for row in rows]
    return AccountLot(namespace, heads, lines, of)


def _line(row: list[Any], texts: dict[str, str]) -> StoredLine:
    """The line of a row, with one object for equal texts: prices and names of most lines are the same."""
    for column in _ALIKE:
        text = row[column]
        row[column] = texts.setdefault(text, text)
    return line_of(row)
