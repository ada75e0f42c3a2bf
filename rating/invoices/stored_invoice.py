"""An invoice or draft as stored in ClickHouse: head and lines, derived values, its JSON, and its record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rating.invoices.amounts.billed_of_period import CHARGED
from rating.invoices.amounts.prepaid.overage import payable
from rating.invoices.credit_notes import credit_note_id
from rating.invoices.draft_decisions import waits
from rating.invoices.transitions import amount_due, amount_paid
from rating.pricing import money_text, plain
from rating.pricing.exact import exact_sum
from schemas.ledgers.invoice_claims import DRAFT, WITHDRAWN
from schemas.ledgers.invoice_details import EMPTY_BODY, Body, CreditNoteEntry, PaymentEntry
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class StoredInvoiceHead:
    """An invoice without its lines. Instants are microseconds UTC; amounts are in ``currency``, with its digits.

    ``subtotal``: all lines except prepaid credits, before tax. ``tax_amount`` is None: tax is computed by other
    systems, which add it to the subtotal.
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
        """Start of the billed service: the period's start; for an invoice over no time, the start of its fees in
        advance."""
        return self.service_span[0] if self.service_span is not None else self.period_start_us

    @property
    def service_end_us(self) -> int:
        """End (exclusive) of the billed service."""
        return self.service_span[1] if self.service_span is not None else self.period_end_us

    @property
    def credits_applied(self) -> str:
        """The part of the subtotal that prepaid credits paid."""
        return money_text(exact_sum((Decimal(self.subtotal), -Decimal(self.total))), self.currency)

    @property
    def payments(self) -> Sequence[PaymentEntry]:
        """In the order of their recording."""
        return self.body.payments

    @property
    def amount_paid(self) -> str:
        """Sum of its payments."""
        return money_text(amount_paid(self.payments), self.currency)

    @property
    def credit_notes(self) -> list[JsonObject]:
        """Each with its number in the namespace's series (None until assigned); older notes have the invoice's
        number and their position on it."""
        return [
            _shown(credit_note) | {"number": self._note_number(credit_note)} for credit_note in self.body.credit_notes
        ]

    def _note_number(self, note: CreditNoteEntry) -> str | None:
        if note.get("series"):
            return self.note_numbers.get(credit_note_id(self.invoice_id, note["number"]))
        return f"{self.number}-C{note['number']}" if self.number else None

    @property
    def amount_due(self) -> str:
        """The amount still to be paid."""
        return money_text(amount_due(self.state, Decimal(self.total), self.body), self.currency)

    @property
    def void(self) -> JsonObject | None:
        """Reason, author and time of voiding."""
        void = self.body.void
        return None if void is None else {"reason": void["reason"], "author": void["author"], "at": void["at"]}

    @property
    def reissues(self) -> str | None:
        """The void invoice whose period it bills again."""
        return self.body.reissues

    @property
    def is_draft(self) -> bool:
        """Whether it is a version of a draft, not of an invoice."""
        return self.state in (DRAFT, WITHDRAWN)

    @property
    def draft(self) -> JsonObject | None:
        """What a draft waits for: approval (required or none), ready_at (end plus grace), held (reason, author,
        at), and as text."""
        draft = self.body.draft if self.is_draft else None
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
            "amount_due": self.amount_due, "payable": payable(Decimal(self.amount_due), self.body),
            "due_date": self.body.due_date, "payments": list(self.payments), "credit_notes": self.credit_notes,
            "void": self.void, "reissues": self.reissues,
            "predecessor": self.predecessor or None, "run_id": self.run_id, "checkpoint": self.checkpoint,
            "catalog_offset": self.catalog_offset, "as_of": rfc3339(self.as_of_us),
            "time_zone_data": self.body.time_zone_data, "draft": self.draft, "approved": self.approved,
            **({} if self.body.interim is None else {"interim": self.body.interim["episode"]}),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredInvoiceLine:
    """A stored line. ``quantity`` and ``events`` are None on a flat line; ``steps``: the calculation; ``plan``: the
    plan that priced it, which differs from the invoice's if the subscription moved."""

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
        """The line as in the record on usage.invoices."""
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
    """The service billed by an invoice over [start_us, end_us): that span, or the span of its charges if it is
    empty."""
    charges = [line for line in lines if line.kind in CHARGED] if start_us == end_us else []
    if not charges:
        return start_us, end_us
    return min(line.period_start for line in charges), max(line.period_end for line in charges)


@dataclass(frozen=True, slots=True)
class WholeInvoice:
    """An invoice with its lines in order."""

    head: StoredInvoiceHead
    lines: tuple[StoredInvoiceLine, ...]

    def record(self) -> Invoice:
        """The record on usage.invoices without its claim, for the close's code."""
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


def _shown(note: CreditNoteEntry) -> JsonObject:
    """A credit note without internal fields. ``subtotal``: the total credited; ``amount``: the reduction of the
    amount due; ``prepaid``: the part restored to grants."""
    fields: JsonObject = {name: value for name, value in note.items() if name not in ("series", "spread", "order")}
    fields |= {"subtotal": note.get("subtotal", note["amount"]), "prepaid": note.get("prepaid", [])}
    if "lines" in fields:
        fields["lines"] = [{name: value for name, value in line.items() if name != "asked"} for line in fields["lines"]]
    return fields
