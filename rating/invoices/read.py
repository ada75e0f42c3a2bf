"""Reads invoices and drafts from ClickHouse; the newest version of each counts. ``lists.py`` lists them in pages.

Drafts are in separate tables and are read only on request.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from clickhouse_connect.driver.client import Client

from rating.invoices.amounts.line_plans import plan_of
from rating.invoices.credit_notes import credit_note_id
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice
from rating.pricing import money_text
from schemas.ledgers.invoice_details import body_of_text
from schemas.ledgers.invoice_record import LinePlan
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

HEAD_COLUMNS: Final = """namespace, invoice_id, version, predecessor, subscription, sequence, account_id,
    plan, plan_version,
    toUnixTimestamp64Micro(period_start) AS start_us, toUnixTimestamp64Micro(period_end) AS end_us, time_zone, run_id,
    checkpoint, catalog_offset, toUnixTimestamp64Micro(as_of) AS as_of_us, state, currency,
    toString(total) AS total_text, body"""
_NEWEST: Final = f"""SELECT {HEAD_COLUMNS} FROM invoices FINAL
WHERE namespace = {{namespace:String}} %s ORDER BY version DESC LIMIT 1 BY invoice_id"""
_NEWEST_DRAFT: Final = f"""SELECT {HEAD_COLUMNS} FROM invoice_drafts FINAL
WHERE namespace = {{namespace:String}} {{of}}
    AND invoice_id NOT IN (SELECT invoice_id FROM invoices WHERE namespace = {{namespace:String}} {{of}})
ORDER BY version DESC LIMIT 1 BY invoice_id"""


def _newest(drafts: bool, of: str) -> str:
    """SQL of the newest versions of invoices, or of drafts that have not become invoices; ``of``: which, by id."""
    return _NEWEST_DRAFT.replace("{of}", of) if drafts else _NEWEST % of


def read_heads(client: Client, namespace: str, invoice_ids: Collection[str]) -> list[StoredInvoiceHead]:
    """The newest versions of these invoices, without lines. Blocking."""
    parameters = {"namespace": namespace, "ids": sorted(invoice_ids)}
    rows = client.query(_NEWEST % "AND invoice_id IN {ids:Array(String)}", parameters=parameters).result_rows
    return heads_of(client, namespace, rows)


def read_listed_heads(client: Client, namespace: str, subscriptions: Mapping[str, str]) -> dict[str, StoredInvoiceHead]:
    """The same of invoices whose subscriptions are known (invoice id → subscription), by id: each is looked for in the
    list of its subscription, however many others there are. Blocking."""
    parameters: JsonObject = {"namespace": namespace}
    heads: dict[str, StoredInvoiceHead] = {}
    for ids in named_lots(sorted(subscriptions)):
        parameters |= {"ids": list(ids), "names": sorted({subscriptions[name] for name in ids})}
        rows = client.query(
            _NEWEST_OF_CHAINS % "of IN {names:Array(String)} AND invoice_id IN {ids:Array(String)}",
            parameters=parameters,
        ).result_rows
        heads |= {head.invoice_id: head for head in heads_of(client, namespace, rows)}
    return heads


def read_invoice(client: Client, namespace: str, invoice_id: str) -> WholeInvoice | None:
    """The newest version of an invoice or draft with its lines; None if there is none. Blocking."""
    parameters: JsonObject = {"namespace": namespace, "invoice_id": invoice_id}
    for drafts in (False, True):
        sql = _newest(drafts, "AND invoice_id = {invoice_id:String}")
        heads = client.query(sql, parameters=parameters).result_rows
        if heads:
            return with_lines(client, namespace, heads_of(client, namespace, heads))[0]
    return None


def read_versions(
    client: Client, namespace: str, versions: Collection[tuple[str, int]], *, draft: bool = False
) -> dict[tuple[str, int], WholeInvoice]:
    """(invoice id, version) → that version of the invoice or draft, with its present number; missing ones are left
    out. Blocking."""
    sql = (
        f"SELECT {HEAD_COLUMNS} FROM {'invoice_drafts' if draft else 'invoices'} FINAL WHERE namespace = "
        f"{{namespace:String}}"
        " AND invoice_id IN {ids:Array(String)}"
    )
    rows = client.query(
        sql, parameters={"namespace": namespace, "ids": sorted({name for name, _ in versions})}
    ).result_rows
    rows = [row for row in rows if (row[1], row[2]) in versions]
    invoices = with_lines(client, namespace, heads_of(client, namespace, rows)) if rows else []
    return {(invoice.head.invoice_id, invoice.head.version): invoice for invoice in invoices}


def read_invoices(client: Client, namespace: str, *, adjusts: str) -> list[WholeInvoice]:
    """The newest versions of all invoices with a line that adjusts the invoice ``adjusts``. Blocking."""
    having = (
        "AND invoice_id IN (SELECT invoice_id FROM invoice_lines WHERE namespace = {namespace:String}"
        " AND adjusts = {adjusts:String})"
    )
    rows = client.query(_NEWEST % having, parameters={"namespace": namespace, "adjusts": adjusts}).result_rows
    return with_lines(client, namespace, heads_of(client, namespace, rows))


_NEWEST_OF_CHAINS: Final = f"""SELECT {HEAD_COLUMNS} FROM invoice_lists
WHERE namespace = {{namespace:String}} AND draft = false AND list = 'subscription' AND %s
ORDER BY version DESC LIMIT 1 BY invoice_id"""
_OF_ACCOUNTS: Final = """(of IN {names:Array(String)} OR of IN (SELECT subscription FROM invoice_lists
    WHERE namespace = {namespace:String} AND draft = false AND list = 'account' AND of IN {accounts:Array(String)}))"""
T = TypeVar("T")
_NAMED: Final = 100  # names in one query: its parameters travel in the request's URL


def named_lots(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """``items`` in order, in groups of at most ``_NAMED``."""
    return (items[start : start + _NAMED] for start in range(0, len(items), _NAMED))


def read_chains(
    client: Client, namespace: str, accounts: Sequence[str], subscriptions: Iterable[str]
) -> list[WholeInvoice]:
    """The newest versions of all invoices of the given subscriptions and of those that have billed the accounts,
    each chain in order. Blocking."""
    parameters: JsonObject = {"namespace": namespace}
    heads: list[StoredInvoiceHead] = []
    names = tuple(dict.fromkeys(subscriptions))  # some were another account's, some have no invoice
    for codes in named_lots(accounts):
        # Few accounts have more subscriptions than one question takes.
        parameters |= {"accounts": list(codes), "names": list(names[:_NAMED])}
        names = names[_NAMED:]
        rows = client.query(_NEWEST_OF_CHAINS % _OF_ACCOUNTS, parameters=parameters).result_rows
        heads += [head for part in named_lots(rows) for head in heads_of(client, namespace, part)]
    known = {head.subscription for head in heads}
    for lot in named_lots([name for name in names if name not in known]):
        rows = client.query(
            _NEWEST_OF_CHAINS % "of IN {names:Array(String)}", parameters={"namespace": namespace, "names": list(lot)}
        ).result_rows
        heads += heads_of(client, namespace, rows)
    heads = list({head.invoice_id: head for head in heads}.values())  # a chain may be in two lots
    followed: dict[tuple[str, str], StoredInvoiceHead] = {(head.subscription, head.predecessor): head for head in heads}
    ordered: list[StoredInvoiceHead] = []
    for subscription in dict.fromkeys(head.subscription for head in heads):
        name = ""
        while (head := followed.pop((subscription, name), None)) is not None:
            ordered.append(head)
            name = head.invoice_id
    return [invoice for part in named_lots(ordered) for invoice in with_lines(client, namespace, part)]


_LINES: Final = """SELECT invoice_id, version, number, kind, charge, product, description, profile_id, profile_versions,
    toUnixTimestamp64Micro(period_start), toUnixTimestamp64Micro(period_end), toString(quantity), events, unit, price,
    toString(amount), unrounded, steps, note, adjusts
FROM {table} FINAL WHERE namespace = {{namespace:String}} %s ORDER BY invoice_id, version, number"""


def with_lines(client: Client, namespace: str, heads: Sequence[StoredInvoiceHead]) -> list[WholeInvoice]:
    """The invoices of ``heads`` (one namespace, all drafts or none) with their lines, in the same order, by one
    query. Blocking."""
    table = _lines_table(bool(heads) and heads[0].is_draft)
    rows = client.query(
        _LINES.format(table=table) % "AND invoice_id IN {ids:Array(String)}",
        parameters={"namespace": namespace, "ids": [head.invoice_id for head in heads]},
    ).result_rows
    return _whole(heads, rows)


def _whole(heads: Sequence[StoredInvoiceHead], rows: Iterable[Sequence[Any]]) -> list[WholeInvoice]:
    """``rows``: lines, of other versions, too."""
    lines: dict[tuple[str, int], list[Sequence[Any]]] = {}
    for invoice_id, version, *line in rows:
        lines.setdefault((invoice_id, version), []).append(line)
    return [
        WholeInvoice(head, tuple(_line(row, head) for row in lines.get((head.invoice_id, head.version), ())))
        for head in heads
    ]


_NUMBERS: Final = """SELECT {0}_id, any(number) FROM {0}_numbers WHERE namespace = {{namespace:String}}
AND {0}_id IN {{{0}s:Array(String)}} GROUP BY {0}_id"""


def heads_of(client: Client, namespace: str, rows: Iterable[Sequence[Any]]) -> list[StoredInvoiceHead]:
    """Heads with their assigned numbers."""
    heads = [_head(row) for row in rows]
    if not heads:
        return []
    notes = [credit_note_id(head.invoice_id, note["number"]) for head in heads for note in head.body.credit_notes]
    sql = _NUMBERS.format("invoice")
    parameters: JsonObject = {"namespace": namespace, "invoices": [head.invoice_id for head in heads]}
    if notes:
        sql += f" UNION ALL {_NUMBERS.format('credit_note')}"
        parameters["credit_notes"] = notes
    # An invoice's id is no credit note's, which has its number behind it.
    numbers = {str(name): str(number) for name, number in client.query(sql, parameters=parameters).result_rows}
    spans = _service_spans(client, namespace, [head for head in heads if head.period_start_us == head.period_end_us])
    return [
        replace(
            head,
            number=numbers.get(head.invoice_id),
            note_numbers=numbers if head.body.credit_notes else {},
            service_span=spans.get((head.invoice_id, head.version)),
        )
        for head in heads
    ]


def _service_spans(
    client: Client, namespace: str, heads: Sequence[StoredInvoiceHead]
) -> dict[tuple[str, int], tuple[int, int]]:
    """(invoice, version) → [start, end) of the fees, for invoices over no time."""
    if not heads:
        return {}
    table = _lines_table(heads[0].is_draft)
    rows = client.query(
        "SELECT invoice_id, version, toUnixTimestamp64Micro(min(period_start)), toUnixTimestamp64Micro(max(period_end))"
        f" FROM {table} WHERE namespace = {{namespace:String}} AND invoice_id IN {{ids:Array(String)}}"
        " AND kind IN ('usage', 'flat') GROUP BY invoice_id, version",
        parameters={"namespace": namespace, "ids": [head.invoice_id for head in heads]},
    ).result_rows
    return {(str(name), int(version)): (int(start), int(end)) for name, version, start, end in rows}


def _lines_table(drafts: bool) -> str:
    return "invoice_draft_lines" if drafts else "invoice_lines"


def _head(row: Sequence[Any]) -> StoredInvoiceHead:
    *values, body = row
    pinned = body_of_text(body)
    total = money_text(Decimal(values[-1]), values[-2])
    # Invoices of before there were credits have no subtotal of their own.
    values = [*values[:-1], total, pinned.subtotal or total, pinned.tax_amount, pinned]
    return StoredInvoiceHead(*values)


def _line(row: Sequence[Any], head: StoredInvoiceHead) -> StoredInvoiceLine:
    (
        number,
        kind,
        charge,
        product,
        description,
        profile_id,
        versions,
        start,
        end,
        quantity,
        events,
        unit,
        price,
        amount,
        unrounded,
        steps,
        note,
        adjusts,
    ) = row
    plan = plan_of(number, kind, note, LinePlan(head.plan, head.plan_version), head.body.line_plans)
    return StoredInvoiceLine(
        number, kind, charge, product, description, profile_id, tuple(versions), start, end,
        None if quantity is None else Decimal(quantity), None if events is None else int(events), unit,
        json.loads(price or "{}"), money_text(Decimal(amount), head.currency), unrounded, json.loads(steps or "[]"),
        note, adjusts,
        plan.code, plan.version,
    )  # fmt: skip
