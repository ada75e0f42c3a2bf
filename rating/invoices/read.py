"""Reading invoices and drafts from ClickHouse: lists by page, and one whole. The newest version of each is what stands.

Drafts have tables of their own: nothing here counts one unless it is asked for drafts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, TypeVar

from rating.invoices.amounts.billed_of_period import CHARGED
from rating.invoices.amounts.line_plans import plan_of
from rating.invoices.credit_notes import credit_note_id
from rating.invoices.draft_decisions import waits
from rating.invoices.transitions import amount_due, amount_paid
from rating.pricing import money_text, plain
from rating.pricing.exact import exact_sum
from schemas.errors import WeirError
from schemas.ledgers.invoice_claims import DRAFT, WITHDRAWN
from schemas.ledgers.invoice_record import (
    EMPTY_BODY,
    Body,
    CreditNoteEntry,
    Invoice,
    Line,
    LinePlan,
    PaymentEntry,
    body_of_text,
)
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

MAX_LIMIT: Final = 500


class BadCursor(WeirError, ValueError):
    """A cursor that no list of ours has given; take ``next_cursor`` of the page before."""


@dataclass(frozen=True, slots=True)
class InvoiceHead:
    """An invoice without its lines. Instants are microseconds UTC; amounts are in ``currency``, with its digits.

    ``subtotal``: all lines but prepaid credits, before tax. ``tax_amount`` is None: tax is left to others, who add it
    to the subtotal.
    """

    namespace: str
    invoice_id: str
    version: int
    predecessor: str
    subscription: str
    sequence: int
    account_id: str
    plan: str
    plan_version: int
    period_start_us: int
    period_end_us: int
    time_zone: str
    run_id: str
    checkpoint: int
    catalog_offset: int
    as_of_us: int
    state: str
    currency: str
    total: str
    subtotal: str
    tax_amount: str | None = None
    body: Body = EMPTY_BODY
    number: str | None = None
    note_numbers: Mapping[str, str] = field(default_factory=dict)
    service_span: tuple[int, int] | None = None

    @property
    def service_start_us(self) -> int:
        """From when on is what it bills: its period's start; of an invoice over no time, which bills fees in advance
        alone, theirs."""
        return self.service_span[0] if self.service_span is not None else self.period_start_us

    @property
    def service_end_us(self) -> int:
        """The end of that, not included."""
        return self.service_span[1] if self.service_span is not None else self.period_end_us

    @property
    def credits_applied(self) -> str:
        """What prepaid credits paid of the subtotal."""
        return money_text(exact_sum((Decimal(self.subtotal), -Decimal(self.total))), self.currency)

    @property
    def payments(self) -> Sequence[PaymentEntry]:
        """In the order in which they were recorded."""
        return self.body.payments

    @property
    def amount_paid(self) -> str:
        """What its payments come to."""
        return money_text(amount_paid(self.payments), self.currency)

    @property
    def credit_notes(self) -> list[JsonObject]:
        """Each with a number of the namespace's series; those made before there was one with the invoice's and which
        one of its credit notes it is. None before it is given."""
        return [
            _shown(credit_note) | {"number": self._note_number(credit_note)} for credit_note in self.body.credit_notes
        ]

    def _note_number(self, note: CreditNoteEntry) -> str | None:
        if note.get("series"):
            return self.note_numbers.get(credit_note_id(self.invoice_id, note["number"]))
        return f"{self.number}-C{note['number']}" if self.number else None

    @property
    def amount_due(self) -> str:
        """What is still to be paid."""
        return money_text(amount_due(self.state, Decimal(self.total), self.body), self.currency)

    @property
    def void(self) -> JsonObject | None:
        """Why it is void: reason, author, at."""
        void = self.body.void
        return None if void is None else {"reason": void["reason"], "author": void["author"], "at": void["at"]}

    @property
    def reissues(self) -> str | None:
        """The void invoice whose period it bills again."""
        return self.body.reissues

    @property
    def draft(self) -> JsonObject | None:
        """What a draft waits for: approval (required or none), ready_at (end and grace), held (reason, author, at), and
        in words."""
        draft = self.body.draft if self.state in (DRAFT, WITHDRAWN) else None
        if draft is None:
            return None
        words = (
            waits(draft, self.period_end_us)
            if self.state == DRAFT
            else "was withdrawn: its period is not to be billed any longer"
        )
        return {
            "approval": draft["approval"], "ready_at": draft["ready_at"], "held": draft.get("held"),
            "content_version": draft["content"], "waits": words,
        }  # fmt: skip

    @property
    def approved(self) -> JsonObject | None:
        """Who approved which version of its draft, and when."""
        by = self.body.approved
        return None if by is None else {"author": by["author"], "at": by["at"], "draft": by["draft"]}

    def to_json(self) -> JsonObject:
        """Ready for json.dumps: instants in RFC 3339."""
        return {
            "invoice_id": self.invoice_id, "number": self.number, "version": self.version, "state": self.state,
            "namespace": self.namespace,
            "account_id": self.account_id, "subscription": self.subscription, "sequence": self.sequence,
            "plan": self.plan, "plan_version": self.plan_version,
            "period_start": rfc3339(self.period_start_us), "period_end": rfc3339(self.period_end_us),
            "service_start": rfc3339(self.service_start_us), "service_end": rfc3339(self.service_end_us),
            "time_zone": self.time_zone, "currency": self.currency, "subtotal": self.subtotal,
            "tax_amount": self.tax_amount,
            "credits_applied": self.credits_applied, "total": self.total, "amount_paid": self.amount_paid,
            "amount_due": self.amount_due,
            "due_date": self.body.due_date, "payments": list(self.payments), "credit_notes": self.credit_notes,
            "void": self.void, "reissues": self.reissues,
            "predecessor": self.predecessor or None, "run_id": self.run_id, "checkpoint": self.checkpoint,
            "catalog_offset": self.catalog_offset, "as_of": rfc3339(self.as_of_us),
            "time_zone_data": self.body.time_zone_data, "draft": self.draft, "approved": self.approved,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A line as it was written. ``quantity`` and ``events`` are None on a flat line; ``steps`` say how it came about.
    ``plan``: which it was priced by, another than the invoice's where the subscription moved."""

    number: int
    kind: str
    charge: str
    product: str
    description: str
    profile_id: str
    profile_versions: tuple[int, ...]
    period_start_us: int
    period_end_us: int
    quantity: Decimal | None
    events: int | None
    unit: str
    price: Mapping[str, Any]
    amount: str
    unrounded: str
    steps: Sequence[Mapping[str, Any]]
    note: str
    adjusts: str
    plan: str = ""
    plan_version: int = 0

    def to_json(self) -> JsonObject:
        """Ready for json.dumps: decimals as plain strings, instants in RFC 3339."""
        return {
            "number": self.number, "kind": self.kind, "charge": self.charge, "product": self.product,
            "description": self.description, "profile": self.profile_id or None,
            "profile_versions": list(self.profile_versions),
            "period_start": rfc3339(self.period_start_us), "period_end": rfc3339(self.period_end_us),
            "quantity": None if self.quantity is None else plain(self.quantity), "events": self.events,
            "unit": self.unit, "price": self.price, "amount": self.amount, "unrounded": self.unrounded,
            "steps": list(self.steps), "note": self.note, "adjusts": self.adjusts or None,
            "plan": self.plan, "plan_version": self.plan_version,
        }  # fmt: skip

    def record(self) -> Line:
        """As the record on usage.invoices has it."""
        return Line(
            number=self.number, kind=self.kind, charge=self.charge, product=self.product, description=self.description,
            profile_id=self.profile_id, profile_versions=self.profile_versions,
            period_start=self.period_start_us, period_end=self.period_end_us,
            quantity="" if self.quantity is None else plain(self.quantity),
            events="" if self.events is None else str(self.events), unit=self.unit,
            price=json.dumps(self.price, ensure_ascii=False, sort_keys=True), amount=self.amount,
            unrounded=self.unrounded,
            steps=json.dumps(list(self.steps), ensure_ascii=False), note=self.note, adjusts=self.adjusts,
        )  # fmt: skip


def service_span(start_us: int, end_us: int, lines: Iterable[Line]) -> tuple[int, int]:
    """What an invoice over [start_us, end_us) bills: that; where it is over no time, the span of its charges.
    ``lines``: of its record."""
    charges = [line for line in lines if line.kind in CHARGED] if start_us == end_us else []
    if not charges:
        return start_us, end_us
    return min(line.period_start for line in charges), max(line.period_end for line in charges)


@dataclass(frozen=True, slots=True)
class WholeInvoice:
    """An invoice with its lines in order."""

    head: InvoiceHead
    lines: tuple[InvoiceLine, ...]

    def record(self) -> Invoice:
        """As the record on usage.invoices has it, for the close's own code; without its claim."""
        head = self.head
        return Invoice(
            namespace=head.namespace, invoice_id=head.invoice_id, version=head.version, predecessor=head.predecessor,
            subscription=head.subscription, sequence=head.sequence, account_id=head.account_id,
            plan=head.plan, plan_version=head.plan_version,
            period_start=head.period_start_us, period_end=head.period_end_us, time_zone=head.time_zone,
            run_id=head.run_id, checkpoint=head.checkpoint, catalog_offset=head.catalog_offset, as_of=head.as_of_us,
            state=head.state, currency=head.currency, total=head.total,
            lines=tuple(line.record() for line in self.lines), body=head.body.text(), claim_id="",
        )  # fmt: skip

    def to_json(self) -> JsonObject:
        """The head's JSON with ``lines``."""
        return self.head.to_json() | {"lines": [line.to_json() for line in self.lines]}


@dataclass(frozen=True, slots=True)
class Page:
    """Some invoices, newest period first; ``next_cursor`` leads to those after them, None at the end."""

    invoices: tuple[InvoiceHead, ...]
    next_cursor: str | None


_HEAD_COLUMNS: Final = """namespace, invoice_id, version, predecessor, subscription, sequence, account_id,
    plan, plan_version,
    toUnixTimestamp64Micro(period_start) AS start_us, toUnixTimestamp64Micro(period_end) AS end_us, time_zone, run_id,
    checkpoint, catalog_offset, toUnixTimestamp64Micro(as_of) AS as_of_us, state, currency,
    toString(total) AS total_text, body"""
_NEWEST: Final = f"""SELECT {_HEAD_COLUMNS} FROM invoices FINAL
WHERE namespace = {{namespace:String}} %s ORDER BY version DESC LIMIT 1 BY invoice_id"""
_NEWEST_DRAFT: Final = f"""SELECT {_HEAD_COLUMNS} FROM invoice_drafts FINAL
WHERE namespace = {{namespace:String}} %s
    AND invoice_id NOT IN (SELECT invoice_id FROM invoices WHERE namespace = {{namespace:String}})
ORDER BY version DESC LIMIT 1 BY invoice_id"""


def list_invoices(
    client: Any,
    namespace: str,
    *,
    account_id: str | None = None,
    subscription: str | None = None,
    state: str | None = None,
    run_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """A page of invoices, latest period first, then by id; drafts where ``state`` says so, and never else. Raises
    BadCursor. Blocking."""
    only, conditions = "", ["1"]
    parameters: JsonObject = {"namespace": namespace, "limit": min(max(limit, 1), MAX_LIMIT) + 1}
    for name, value in (("account_id", account_id), ("subscription", subscription), ("run_id", run_id)):
        if value is not None:
            parameters[name] = value
            if name == "run_id" and state == DRAFT:  # of the newest version: each one is as of a run of its own
                conditions.append("run_id = {run_id:String}")
            else:
                only += f" AND {name} = {{{name}:String}}"
    if state is not None:
        # After the newest version is chosen: a voided invoice is no longer finalized.
        conditions.append("state = {state:String}")
        parameters["state"] = state
    if cursor is not None:
        parameters["after_us"], parameters["after_id"] = _parse_cursor(cursor)
        conditions.append("(start_us, invoice_id) < ({after_us:Int64}, {after_id:String})")
    sql = (
        f"SELECT * FROM ({(_NEWEST_DRAFT if state == DRAFT else _NEWEST) % only}) WHERE {' AND '.join(conditions)}\n"
        "ORDER BY start_us DESC, invoice_id DESC LIMIT {limit:UInt32}"
    )
    heads = _heads(client, namespace, client.query(sql, parameters=parameters).result_rows)
    page = heads[: parameters["limit"] - 1]
    has_more = len(heads) > len(page)
    return Page(tuple(page), f"{page[-1].period_start_us}_{page[-1].invoice_id}" if has_more else None)


def read_heads(client: Any, namespace: str, invoice_ids: Collection[str]) -> list[InvoiceHead]:
    """The newest versions of these invoices, without lines. Blocking."""
    parameters = {"namespace": namespace, "ids": sorted(invoice_ids)}
    rows = client.query(_NEWEST % "AND invoice_id IN {ids:Array(String)}", parameters=parameters).result_rows
    return _heads(client, namespace, rows)


def _parse_cursor(cursor: str) -> tuple[int, str]:
    start, _, name = cursor.partition("_")
    if not name or not start.isascii() or not start.removeprefix("-").isdigit() or len(start) > 18:
        raise BadCursor(f"{cursor[:40]!r} is no cursor of this list; take next_cursor of the page before")
    return int(start), name


def read_invoice(client: Any, namespace: str, invoice_id: str) -> WholeInvoice | None:
    """The newest version of an invoice with its lines, of its draft where it is one; None where there is none.
    Blocking."""
    parameters: JsonObject = {"namespace": namespace, "invoice_id": invoice_id}
    for newest in (_NEWEST, _NEWEST_DRAFT):
        heads = client.query(newest % "AND invoice_id = {invoice_id:String}", parameters=parameters).result_rows
        if heads:
            return with_lines(client, namespace, _heads(client, namespace, heads))[0]
    return None


def read_versions(
    client: Any, namespace: str, names: Iterable[tuple[str, int]], *, draft: bool = False
) -> dict[tuple[str, int], WholeInvoice]:
    """(invoice id, version) → that version of the invoice, or of its draft, with the number that it has by now; what is
    not there yet is left out. Blocking."""
    versions = set(names)
    sql = (
        f"SELECT {_HEAD_COLUMNS} FROM {'invoice_drafts' if draft else 'invoices'} FINAL WHERE namespace = "
        f"{{namespace:String}}"
        " AND invoice_id IN {ids:Array(String)}"
    )
    parameters: JsonObject = {"namespace": namespace, "ids": sorted({name for name, _ in versions})}
    rows = [row for row in client.query(sql, parameters=parameters).result_rows if (row[1], row[2]) in versions]
    invoices = with_lines(client, namespace, _heads(client, namespace, rows)) if rows else []
    return {(invoice.head.invoice_id, invoice.head.version): invoice for invoice in invoices}


def read_invoices(client: Any, namespace: str, *, adjusts: str) -> list[WholeInvoice]:
    """The newest versions of all invoices that have a line which adjusts the invoice ``adjusts``. Blocking."""
    having = (
        "AND invoice_id IN (SELECT invoice_id FROM invoice_lines WHERE namespace = {namespace:String}"
        " AND adjusts = {adjusts:String})"
    )
    rows = client.query(_NEWEST % having, parameters={"namespace": namespace, "adjusts": adjusts}).result_rows
    return with_lines(client, namespace, _heads(client, namespace, rows))


_OF_ACCOUNT: Final = """AND subscription IN (
    SELECT subscription FROM invoices WHERE namespace = {namespace:String} AND account_id = {account_id:String})"""
T = TypeVar("T")
_NAMED: Final = 100  # names in one query: its parameters travel in the request's URL


def _some(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Them, so many at a time."""
    return (things[start : start + _NAMED] for start in range(0, len(things), _NAMED))


def read_chains(client: Any, namespace: str, account_id: str, subscriptions: Iterable[str]) -> list[WholeInvoice]:
    """The newest versions of all invoices of subscriptions that have billed an account, and of these; each one's in the
    order of its chain. Blocking."""
    parameters: JsonObject = {"namespace": namespace, "account_id": account_id}
    rows = client.query(_NEWEST % _OF_ACCOUNT, parameters=parameters).result_rows
    heads = [head for part in _some(rows) for head in _heads(client, namespace, part)]
    known = {head.subscription for head in heads}
    missing = [name for name in subscriptions if name not in known]  # which were another account's, or have no invoice
    for names in _some(missing):
        parameters["names"] = list(names)
        rows = client.query(_NEWEST % "AND subscription IN {names:Array(String)}", parameters=parameters).result_rows
        heads += _heads(client, namespace, rows)
    followed: dict[tuple[str, str], InvoiceHead] = {(head.subscription, head.predecessor): head for head in heads}
    ordered: list[InvoiceHead] = []
    for subscription in dict.fromkeys(head.subscription for head in heads):
        name = ""
        while (head := followed.pop((subscription, name), None)) is not None:
            ordered.append(head)
            name = head.invoice_id
    return [invoice for part in _some(ordered) for invoice in with_lines(client, namespace, part)]


def with_lines(client: Any, namespace: str, heads: Sequence[InvoiceHead]) -> list[WholeInvoice]:
    """Invoices of one namespace with their lines, in the order of ``heads``, all of them drafts or none; by one query.
    Blocking."""
    table = _lines_table(heads[0]) if heads else "invoice_lines"
    rows = client.query(
        "SELECT invoice_id, version, number, kind, charge, product, description, profile_id, profile_versions,"
        " toUnixTimestamp64Micro(period_start), toUnixTimestamp64Micro(period_end), toString(quantity), events, unit,"
        f" price, toString(amount), unrounded, steps, note, adjusts FROM {table} FINAL"
        " WHERE namespace = {namespace:String} AND invoice_id IN {ids:Array(String)} ORDER BY invoice_id, "
        "version, number",
        parameters={"namespace": namespace, "ids": [head.invoice_id for head in heads]},
    ).result_rows
    lines: dict[tuple[str, int], list[Sequence[Any]]] = {}
    for invoice_id, version, *line in rows:
        lines.setdefault((invoice_id, version), []).append(line)
    return [
        WholeInvoice(head, tuple(_line(row, head) for row in lines.get((head.invoice_id, head.version), ())))
        for head in heads
    ]


def _heads(client: Any, namespace: str, rows: Iterable[Sequence[Any]]) -> list[InvoiceHead]:
    """With the numbers that they have been given."""
    heads = [_head(row) for row in rows]
    if not heads:
        return []
    given = client.query(
        "SELECT invoice_id, any(number) FROM invoice_numbers WHERE namespace = {namespace:String}"
        " AND invoice_id IN {ids:Array(String)} GROUP BY invoice_id",
        parameters={"namespace": namespace, "ids": [head.invoice_id for head in heads]},
    ).result_rows
    numbers = {str(name): str(number) for name, number in given}
    notes = [credit_note_id(head.invoice_id, note["number"]) for head in heads for note in head.body.credit_notes]
    of_notes: dict[str, str] = {}
    if notes:
        rows = client.query(
            "SELECT credit_note_id, any(number) FROM credit_note_numbers WHERE namespace = {namespace:String}"
            " AND credit_note_id IN {ids:Array(String)} GROUP BY credit_note_id",
            parameters={"namespace": namespace, "ids": notes},
        ).result_rows
        of_notes = {str(name): str(number) for name, number in rows}
    spans = _service_spans(client, namespace, [head for head in heads if head.period_start_us == head.period_end_us])
    return [
        replace(
            head,
            number=numbers.get(head.invoice_id),
            note_numbers=of_notes if head.body.credit_notes else {},
            service_span=spans.get((head.invoice_id, head.version)),
        )
        for head in heads
    ]


def _service_spans(client: Any, namespace: str, heads: Sequence[InvoiceHead]) -> dict[tuple[str, int], tuple[int, int]]:
    """(invoice, version) → [start, end) of the fees of invoices over no time."""
    if not heads:
        return {}
    table = _lines_table(heads[0])
    rows = client.query(
        "SELECT invoice_id, version, toUnixTimestamp64Micro(min(period_start)), toUnixTimestamp64Micro(max(period_end))"
        f" FROM {table} WHERE namespace = {{namespace:String}} AND invoice_id IN {{ids:Array(String)}}"
        " AND kind IN ('usage', 'flat') GROUP BY invoice_id, version",
        parameters={"namespace": namespace, "ids": [head.invoice_id for head in heads]},
    ).result_rows
    return {(str(name), int(version)): (int(start), int(end)) for name, version, start, end in rows}


def _lines_table(head: InvoiceHead) -> str:
    return "invoice_draft_lines" if head.draft is not None else "invoice_lines"


def _shown(note: CreditNoteEntry) -> JsonObject:
    """A credit note without what only its next version needs. ``subtotal``: what it credits in all; ``amount``: the
    part that is no longer to be paid; ``prepaid``: the part that came back to grants."""
    fields: JsonObject = {name: value for name, value in note.items() if name not in ("series", "spread", "order")}
    fields |= {"subtotal": note.get("subtotal", note["amount"]), "prepaid": note.get("prepaid", [])}
    if "lines" in fields:
        fields["lines"] = [{name: value for name, value in line.items() if name != "asked"} for line in fields["lines"]]
    return fields


def _head(row: Sequence[Any]) -> InvoiceHead:
    *fields, body = row
    pinned = body_of_text(body)
    total = money_text(Decimal(fields[-1]), fields[-2])
    # Invoices of before there were credits have no subtotal of their own.
    values = [*fields[:-1], total, pinned.subtotal or total, pinned.tax_amount, pinned]
    return InvoiceHead(*values)


def _line(row: Sequence[Any], head: InvoiceHead) -> InvoiceLine:
    (number, kind, charge, product, description, profile_id, versions, start, end, quantity, events, unit, price,
     amount, unrounded, steps, note, adjusts) = row  # fmt: skip
    plan = plan_of(number, kind, note, LinePlan(head.plan, head.plan_version), head.body.line_plans)
    return InvoiceLine(
        number, kind, charge, product, description, profile_id, tuple(versions), start, end,
        None if quantity is None else Decimal(quantity), None if events is None else int(events), unit,
        json.loads(price or "{}"), money_text(Decimal(amount), head.currency), unrounded, json.loads(steps or "[]"),
        note, adjusts,
        plan.code, plan.version,
    )  # fmt: skip
