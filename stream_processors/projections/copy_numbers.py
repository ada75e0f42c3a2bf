"""Copies the numbers of invoices and credit notes from usage.checkpoints to ClickHouse.

A close writes the numbers it assigns itself; this adds numbers that are missing, for example after ClickHouse was
restored from an older copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.invoice_numbers import Numbered
from stream_processors.metering.journal import Journal

TABLES: Final = {"invoice_numbers": "invoice_id", "credit_note_numbers": "credit_note_id"}


def copy_numbers(journal: Journal, checkpoints: Checkpoints, *, again: bool = False) -> int:
    """Insert the missing numbers and return how many. ``again``: insert all, and delete numbers that the topic
    never assigned. Raises Stopping."""
    written = 0
    for (table, column), numbers in zip(TABLES.items(), (checkpoints.numbers, checkpoints.note_numbers), strict=True):
        shown = {} if again else _shown_up_to(journal, table)
        for namespace in numbers.namespaces():
            ranked = numbers.given(namespace)
            up_to = shown.get(namespace)
            if up_to is not None and up_to <= len(ranked):
                missing: Sequence[Numbered] = ranked[up_to:]
            else:
                missing = _compared(journal, table, column, namespace, ranked, again=again)
            if missing:
                journal.insert(table, numbers_table(column, namespace, missing))
                written += len(missing)
    return written


def _shown_up_to(journal: Journal, table: str) -> dict[str, int]:
    """Namespace → the greatest rank that is shown, where none below it is missing; others are left out. Numbers are
    given from 1 on and shown in their order, so a start need not read them all."""
    rows = journal.query(
        f"count {table}",
        f"SELECT toString(namespace), uniqExact(rank) AS shown, max(rank) AS last FROM {table} GROUP BY namespace",
    )
    return {str(namespace): int(last) for namespace, count, last in rows if int(count) == int(last)}


def _compared(
    journal: Journal, table: str, column: str, namespace: str, ranked: Sequence[Numbered], *, again: bool
) -> Sequence[Numbered]:
    """The numbers that are not shown as they were given; ``again``: all, once those that were never given are
    deleted."""
    rows = journal.query(
        f"read {table}",
        f"SELECT {column}, rank, number FROM {table} FINAL WHERE namespace = {{n:String}}",
        {"n": namespace},
    )
    have = {(str(name), int(rank), str(text)) for name, rank, text in rows}
    given = {(number.invoice_id, number.rank, number.text): number for number in ranked}
    if again and (wrong := sorted({name for name, *_ in have} - {name for name, *_ in given})):
        journal.command(
            f"delete numbers from {table}",
            f"DELETE FROM {table} WHERE namespace = {{n:String}} AND has({{names:Array(String)}}, {column})",
            {"n": namespace, "names": wrong},
        )
    return [number for key, number in given.items() if again or key not in have]


def numbers_table(column: str, namespace: str, numbers: Sequence[Numbered]) -> pa.Table:
    """The Arrow table of invoice_numbers or credit_note_numbers; ``column`` is its id column."""
    return pa.table(
        {
            "namespace": pa.array([namespace] * len(numbers), pa.string()),
            column: pa.array([number.invoice_id for number in numbers], pa.string()),
            "rank": pa.array([number.rank for number in numbers], pa.uint64()),
            "number": pa.array([number.text for number in numbers], pa.string()),
        }
    )
