"""Legal numbers without gaps for finalised invoices and credit notes: assigned on usage.checkpoints
(schemas/ledgers/invoice_numbers.py) and copied to ClickHouse."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from rating.invoices.credit_notes import credit_note_id
from rating.invoices.ledger import StandingInvoices
from schemas.catalog.models import Namespace
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.invoice_claims import DRAFT
from schemas.ledgers.invoice_numbers import InvoiceNumbers, Numbered
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.json_text import JsonObject


def unnumbered(numbers: InvoiceNumbers, namespace: str, invoices: Iterable[Invoice]) -> list[str]:
    """Ids of invoices ever finalised that have no number, in the order of assignment: by period, then id."""
    invoices = [
        invoice for invoice in invoices if invoice.state != DRAFT and numbers.of(namespace, invoice.invoice_id) is None
    ]
    invoices.sort(
        key=lambda invoice: (invoice.period_start, invoice.account_id, invoice.subscription, invoice.sequence)
    )
    return [invoice.invoice_id for invoice in invoices]


def unnumbered_notes(numbers: InvoiceNumbers, namespace: str, invoices: Iterable[Invoice]) -> list[str]:
    """Ids of credit notes without a number, in the order of assignment: by creation."""
    notes = sorted(notes_in_series(invoices))
    return [name for _, name in notes if numbers.of(namespace, name) is None]


def notes_in_series(invoices: Iterable[Invoice]) -> Iterator[tuple[str, str]]:
    """(creation instant, id) of all credit notes with a number of the series; older ones are identified by their
    invoice and their position on it."""
    for invoice in invoices:
        if '"series"' in invoice.body:  # avoids decoding all other bodies
            for note in body_of(invoice).credit_notes:
                if note.get("series"):
                    yield note["at"], credit_note_id(invoice.invoice_id, note["number"])


def number_all(
    ledger: CheckpointLedger, client: Client, standing: StandingInvoices, view: NamespaceView, now: datetime
) -> None:
    """``number_invoices`` for all valid invoices of a namespace, also those of a run that died before it numbered what
    it published. Blocking. Raises LedgerUnavailable."""
    namespace = view.namespace
    numbers = ledger.refresh().numbers
    invoices = standing.invoices(namespace)
    names = unnumbered(numbers, namespace, invoices)
    if len(numbers.given(namespace)) + len(names) < standing.count(namespace):
        standing.expand_account(namespace, None)
        invoices = standing.invoices(namespace)
        names = unnumbered(numbers, namespace, invoices)
    _number(ledger, client, namespace, view.settings, invoices, names, now)


def number_invoices(
    ledger: CheckpointLedger,
    client: Client,
    namespace: str,
    settings: Namespace,
    invoices: Collection[Invoice],
    now: datetime,
) -> None:
    """Assign numbers to valid invoices and their credit notes, and copy all missing numbers to ClickHouse,
    including those of a run that died. Blocking.

    ``invoices``: the namespace's valid invoices; ``settings``: the namespace's. Raises LedgerUnavailable.
    """
    names = unnumbered(ledger.refresh().numbers, namespace, invoices)
    _number(ledger, client, namespace, settings, invoices, names, now)


def _number(
    ledger: CheckpointLedger,
    client: Client,
    namespace: str,
    settings: Namespace,
    invoices: Iterable[Invoice],
    names: Sequence[str],
    now: datetime,
) -> None:
    """``names``: ids of those of ``invoices`` without a number, in the order of assignment."""
    checkpoints = ledger.checkpoints
    note_names = unnumbered_notes(checkpoints.note_numbers, namespace, invoices)
    if names:
        ledger.number(namespace, _prefix(settings.invoice_prefix, now), names)
    if note_names:
        ledger.number(namespace, _prefix(settings.credit_note_prefix, now), note_names, "credit_notes")
    _show(client, "invoice_numbers", "invoice_id", namespace, checkpoints.numbers)
    if checkpoints.note_numbers.given(namespace):
        _show(client, "credit_note_numbers", "credit_note_id", namespace, checkpoints.note_numbers)


def _prefix(text: str, now: datetime) -> str:
    return text.replace("{year}", str(now.year))


def _show(client: Client, table: str, column: str, namespace: str, numbers: InvoiceNumbers) -> None:
    rows = client.query(
        f"SELECT max(rank) FROM {table} WHERE namespace = {{namespace:String}}", parameters={"namespace": namespace}
    ).result_rows
    # Rows are written in ascending order, so none below the greatest is missing.
    if further := numbers.given(namespace)[int(rows[0][0]) :]:
        client.insert_arrow(table, _table(column, namespace, further))


def _table(column: str, namespace: str, numbers: Sequence[Numbered]) -> pa.Table:
    return pa.table(
        {
            "namespace": pa.array([namespace] * len(numbers), pa.string()),
            column: pa.array([number.invoice_id for number in numbers], pa.string()),
            "rank": pa.array([number.rank for number in numbers], pa.uint64()),
            "number": pa.array([number.text for number in numbers], pa.string()),
        }
    )


_SHORTEST_END: Final = 3
_LIKE: Final = """SELECT {id}, any(number) AS text FROM {table} WHERE namespace = {{namespace:String}}
AND (number = {{text:String}} OR (length({{text:String}}) >= {shortest} AND endsWith(number, {{text:String}})))
GROUP BY {id} ORDER BY text = {{text:String}} DESC, text DESC LIMIT {{limit:UInt32}}"""


def numbered_like(client: Client, namespace: str, text: str, limit: int) -> list[str]:
    """At most ``limit`` ids of invoices whose number, or a credit note's of theirs, is ``text`` or ends with it, three
    letters at least. Blocking."""
    parameters: JsonObject = {"namespace": namespace, "text": text, "limit": limit}
    names: list[str] = []
    for of, table in (("invoice_id", "invoice_numbers"), ("credit_note_id", "credit_note_numbers")):
        sql = _LIKE.format(id=of, table=table, shortest=_SHORTEST_END)
        # A credit note's id is its invoice's with its position behind it.
        names += [str(name).partition("-C")[0] for name, _ in client.query(sql, parameters=parameters).result_rows]
    return list(dict.fromkeys(names))[:limit]
