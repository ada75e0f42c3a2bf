"""What is answered about invoices, credit notes, billing runs and late usage."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from rating.api.answers.line_price import LinePrice
from rating.api.answers.prices import PriceStep
from rating.api.answers.usage import UnpricedUsage
from schemas.http.openapi import Answer, DecimalText, absent

InvoiceState = Literal["draft", "finalized", "void", "paid", "withdrawn"]


class Payment(Answer):
    """What was paid of an invoice; negative: paid back."""

    reference: str
    amount: DecimalText
    paid_at: datetime
    author: str
    invoice: str = absent()
    """the invoice below zero whose balance paid it"""


class CreditNoteLine(Answer):
    """What a credit note takes off one line."""

    line: int
    charge: str
    product: str
    description: str
    quantity: DecimalText | None
    unit: str
    amount: DecimalText
    tax_amount: DecimalText | None


class PrepaidReturn(Answer):
    """What of a credit note came back to a prepaid credit."""

    grant: str
    """its code"""
    amount: DecimalText
    invoice: str = absent()
    """the invoice that it had paid, where that is another"""


class CreditNote(Answer):
    """A part of what an invoice billed that is credited."""

    number: str | None = Field(examples=["CN-2026-000001"])
    """null until it is given"""
    reference: str
    subtotal: DecimalText
    """what is credited in all"""
    amount: DecimalText
    """the part that is no longer to be paid"""
    prepaid: list[PrepaidReturn]
    """the part that came back to prepaid credits"""
    tax_amount: DecimalText | None = absent()
    reason: str
    author: str
    at: datetime
    lines: list[CreditNoteLine] = absent()


class ListedCreditNote(CreditNote):
    """A credit note with its invoice."""

    invoice_id: str
    invoice_number: str | None
    account_id: str
    subscription: str
    currency: str


class CreditNotePage(Answer):
    """A page of credit notes, the newest first."""

    credit_notes: list[ListedCreditNote]
    next_cursor: str | None


class VoidMark(Answer):
    """Why an invoice is void."""

    reason: str
    author: str
    at: datetime


class HeldBack(Answer):
    """Who holds a draft back, and why."""

    reason: str
    author: str
    at: datetime


class DraftStatus(Answer):
    """What a draft waits for."""

    approval: Literal["none", "required"]
    ready_at: datetime
    """the period's end and grace"""
    held: HeldBack | None
    content_version: int
    """the version that made it say what it says"""
    waits: str
    """in words"""


class PayableInMoney(Answer):
    """Money for units that prepaid credits do not cover."""

    currency: str = Field(examples=["USD"])
    rate: DecimalText
    """for one unit, as the plan had it"""
    amount: DecimalText


class Approved(Answer):
    """Who approved which version of the invoice's draft."""

    author: str
    at: datetime
    draft: int


class InvoiceLine(Answer):
    """A line as it was written."""

    number: int
    kind: Literal["usage", "flat", "adjustment", "discount", "commitment", "credit"]
    charge: str
    product: str
    description: str
    profile: str | None
    profile_versions: list[int]
    period_start: datetime
    period_end: datetime
    quantity: DecimalText | None
    """null on a line without usage"""
    events: int | None
    unit: str
    price: LinePrice
    amount: DecimalText
    unrounded: DecimalText
    steps: list[PriceStep]
    note: str
    adjusts: str | None
    """the invoice that an adjustment adjusts"""
    plan: str
    plan_version: int


class InvoiceHead(Answer):
    """An invoice without its lines. Amounts are in ``currency``, with its digits."""

    invoice_id: str = Field(examples=["inv_0123456789abcdef01234567"])
    number: str | None = Field(examples=["INV-2026-000001"])
    """null until it is given"""
    version: int
    state: InvoiceState
    namespace: str
    account_id: str
    subscription: str
    sequence: int
    plan: str
    plan_version: int
    period_start: datetime
    period_end: datetime
    """not included"""
    service_start: datetime
    service_end: datetime
    time_zone: str
    currency: str = Field(examples=["USD"])
    subtotal: DecimalText
    """all lines but prepaid credits, before tax"""
    tax_amount: DecimalText | None
    """null: tax is left to others"""
    credits_applied: DecimalText
    """what prepaid credits paid of the subtotal"""
    total: DecimalText
    amount_paid: DecimalText
    amount_due: DecimalText
    payable: PayableInMoney | None
    """what the amount due of an invoice in an own unit comes to; null: it is in money, or no money is due for it"""
    due_date: date | None
    """a local date of the account"""
    payments: list[Payment]
    credit_notes: list[CreditNote]
    void: VoidMark | None
    reissues: str | None
    """the void invoice whose period it bills again"""
    interim: int = absent()
    """which interim invoice of its running period it is: 1, 2, …; only on these"""
    predecessor: str | None
    run_id: str
    checkpoint: int
    catalog_offset: int
    as_of: datetime
    time_zone_data: str | None
    draft: DraftStatus | None
    approved: Approved | None
    lines: list[InvoiceLine] = absent()
    """in a list that was asked for with `lines=true`"""


class Invoice(InvoiceHead):
    """An invoice whole."""

    lines: list[InvoiceLine]


class InvoicePage(Answer):
    """A page of invoices, latest period first."""

    invoices: list[InvoiceHead]
    next_cursor: str | None
    """null on the last page"""


class LateLine(Answer):
    """A billed line whose amount is another by now; the amounts are null for a discount or a commitment, which change
    with others."""

    account_id: str
    subscription: str
    invoice_id: str
    charge: str
    product: str
    profile_id: str
    period_start: datetime
    period_end: datetime
    quantity_now: DecimalText | None
    events_now: int | None
    unit: str
    currency: str
    billed: DecimalText | None
    now: DecimalText | None
    difference: DecimalText
    billed_as_of_checkpoint: int


class LeftOutUsage(Answer):
    """What came, or was voided, for invoices behind the namespace's lock date, and is on no invoice."""

    lock_date: date | None
    since: date | None
    """of periods that ended after the beginning of this date (UTC); null without a lock date"""
    count: int
    totals: dict[str, DecimalText]
    """currency → difference of all lines"""
    lines: list[LateLine]
    problems: list[str]


class LateUsage(Answer):
    """What came after its period was billed and is on no invoice yet."""

    namespace: str
    last_checkpoint: int
    count: int
    totals: dict[str, DecimalText]
    """currency → difference of all lines"""
    lines: list[LateLine]
    problems: list[str]
    unpriced: list[UnpricedUsage]
    left_out: LeftOutUsage


class RunHead(Answer):
    """A billing run."""

    run_id: str
    due_until: str | None
    checkpoint: int
    as_of: datetime
    invoices: int
    drafts: bool
    """it made or refreshed drafts alone"""
    time_zone_data: str | None
    """release of the IANA rules by which its periods were found; null for a run of before it was announced"""
    findings: int
    """points of its checklist that found something"""


class Check(Answer):
    """One point of a checklist; 0 is fine."""

    check: str
    count: int
    text: str
    examples: list[str]


class BillingRun(RunHead):
    """A billing run with its checklist."""

    checklist: list[Check]


class BillingRunList(Answer):
    """Billing runs, the newest first."""

    runs: list[RunHead]
