"""The lists of invoices and drafts (``invoice_lists``), from which pages are read, against the tables they are of."""

from __future__ import annotations

import time
from typing import Final

from rating.verify.difference import PER_CHECK, Findings, VerifyProgress
from rating.verify.scope import Row, Scope

NAME: Final = "lists of invoices"
_INSERTED_SECONDS: Final = 2.0
_REMEDY: Final = "`weir copies rebuild invoices` writes the lists again"
_COLUMNS: Final = """toString(namespace) AS name, toString(list) AS list_name, of, invoice_id, version,
    cityHash64(start, place, predecessor, subscription, sequence, account_id, plan, plan_version, period_end, time_zone,
    run_id, checkpoint, catalog_offset, as_of, toString(state), toString(currency), total, body) AS hash"""
_NOTES: Final = """arrayDistinct(arrayMap(
    note -> parseDateTime64BestEffortOrZero(JSONExtractString(note, 'at'), 6, 'UTC'),
    if(draft, [], JSONExtractArrayRaw(body, 'credit_notes')))) AS notes"""
_OF_TABLE: Final = f"""SELECT {{columns}}
FROM (SELECT *, {{{{draft:Bool}}}} AS draft, {_NOTES} FROM {{table}} FINAL WHERE {{where}})
ARRAY JOIN
    arrayConcat(['all', 'account', 'subscription', 'run'], arrayMap(at -> 'note', arrayConcat(notes, notes))) AS list,
    arrayConcat(['', account_id, subscription, run_id], arrayMap(at -> '', notes), arrayMap(at -> account_id, notes))
        AS of,
    arrayConcat(arrayWithConstant(4, period_start), notes, notes) AS start,
    arrayConcat(arrayWithConstant(4, concat(subscription, ' ', leftPad(toString(sequence), 10, '0'))),
        arrayMap(at -> '', arrayConcat(notes, notes))) AS place"""
_OF_LISTS: Final = """SELECT {columns} FROM (SELECT *, period_start AS start FROM invoice_lists FINAL)
WHERE {where} AND draft = {{draft:Bool}}"""
_SUMS: Final = "SELECT name, list_name, count(), sum(cityHash64(of, invoice_id, version, hash)) FROM ({}) GROUP BY 1, 2"
_ROWS: Final = """SELECT name, list_name, of, invoice_id, version, sum(table_row), sum(list_row)
FROM (SELECT *, 1 AS table_row, 0 AS list_row FROM ({of_table})
    UNION ALL SELECT *, 0 AS table_row, 1 AS list_row FROM ({of_lists}))
GROUP BY name, list_name, of, invoice_id, version, hash HAVING count() != 2
ORDER BY name, list_name, of, invoice_id, version LIMIT {limit}"""


def check_lists(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each version stands in the lists of its namespace, account, subscription and billing run as it is in its table,
    and in those of credit notes at the instants of its own; and nothing else does."""
    on_progress(NAME, 0, 1)
    for draft, table in ((False, "invoices"), (True, "invoice_drafts")):
        if _sums(scope, _of_table(scope, table), draft) == _sums(scope, _of_lists(scope), draft):
            continue
        before = set(map(tuple, _different(scope, table, draft)))
        time.sleep(_INSERTED_SECONDS)  # what is being inserted stands in one of them first
        for row in _different(scope, table, draft):
            if tuple(row) in before:
                name, listed, of, invoice_id, version, expected, actual = row
                list_name = f"{table}, list {listed} {of}".rstrip()
                findings.add(
                    "invoice list", f"{list_name} of {name}, {invoice_id} version {version}", _rows(expected),
                    _rows(actual), _REMEDY,
                )  # fmt: skip
    on_progress(NAME, 1, 1)


def _of_table(scope: Scope, table: str) -> str:
    return _OF_TABLE.format(columns=_COLUMNS, table=table, where=scope.of_namespace)


def _of_lists(scope: Scope) -> str:
    return _OF_LISTS.format(columns=_COLUMNS, where=scope.of_namespace)


def _sums(scope: Scope, rows: str, draft: bool) -> set[Row]:
    """Number and hash of the rows of each list: equal for equal rows."""
    return set(map(tuple, scope.rows(_SUMS.format(rows), {"draft": draft})))


def _different(scope: Scope, table: str, draft: bool) -> list[Row]:
    """Rows that the table or the lists alone have, as they are."""
    sql = _ROWS.format(of_table=_of_table(scope, table), of_lists=_of_lists(scope), limit=2 * PER_CHECK)
    return list(scope.rows(sql, {"draft": draft}))


def _rows(count: int) -> str:
    return "a row as in the table" if count else "no such row"
