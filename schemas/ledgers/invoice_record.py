"""The Invoice record of usage.invoices (avro/invoice.avsc) as a typed value: one decode, one encode.

An invoice never changes: what becomes of it is its next version (``Invoice.version``). Amounts and quantities are
decimals as text, in the invoice's currency; instants are microseconds UTC, and spans leave their end out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NotRequired, TypedDict, TypeVar

import msgspec

from schemas.kafka.codec import CodecError, codec

T = TypeVar("T")
_to_json: Final = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder each time


class LinePlan(msgspec.Struct, frozen=True):
    """Code and version of a plan."""

    code: str
    version: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one charge, discount, true-up, prepaid credit or adjustment comes to."""

    number: int = 0  # 1, 2, …; 0 while its invoice is being made
    kind: str  # usage, flat, adjustment, discount, commitment (a true-up), credit (prepaid)
    charge: str  # code of the charge on the plan; of a discount, a true-up or a credit its kind, a colon and its code
    product: str
    description: str  # for people
    profile_id: str = ""  # meter.profile that was measured; "" for flat
    profile_versions: tuple[int, ...] = ()  # those in force in the line's period
    period_start: int
    period_end: int
    quantity: str = ""  # what was used, in ``unit``; "" for flat
    events: str = ""  # number of records behind the quantity; "" for flat
    unit: str = ""
    price: str  # the price as pinned: canonical JSON of schemas.prices
    amount: str  # rounded once, with the currency's digits; below zero: credited
    unrounded: str  # the exact amount before that
    steps: str  # JSON: how the amount came about
    note: str = ""  # what the line must say
    adjusts: str = ""  # invoice_id of the earlier invoice that it adjusts, or whose prepaid credit it gives back
    of_plan: LinePlan | None = (
        None  # while it is being made: the plan that priced it; then the body has it (line_plans)
    )


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an invoice, or of the draft that it may become; ``invoice_claims.claim_of`` says what it
    claims."""

    namespace: str
    invoice_id: str  # derived from namespace, subscription, period_start and sequence
    version: int  # 1, 2, …; a draft counts its own
    predecessor: str  # invoice_id before it in the subscription's chain; "" for the first
    subscription: str
    sequence: int  # 0, and 1, 2, … for further invoices that start at the same instant
    account_id: str
    plan: str  # code of the plan at the period's end
    plan_version: int
    period_start: int
    period_end: int
    time_zone: str  # IANA zone of the account's calendar
    run_id: str  # the billing run that made it
    checkpoint: int  # number of the checkpoint that it is as of
    catalog_offset: int  # offset of the catalog that it is as of
    as_of: int  # the checkpoint's instant
    state: str  # of a draft: draft, withdrawn; of an invoice: finalized, paid, void
    currency: str  # ISO 4217
    total: str  # sum of the lines' amounts
    lines: tuple[Line, ...]
    body: str = "{}"  # JSON text: ``Body``
    claim_id: str


class PaymentEntry(TypedDict):
    """Money that moved, or a part of another invoice's balance."""

    reference: str  # names it once and for all
    amount: str  # negative: paid back
    paid_at: str  # RFC 3339
    author: str
    invoice: NotRequired[str]  # the one that it is drawn from, or on whose behalf


class CreditedLine(TypedDict):
    """A line of a credit note."""

    line: int  # its number on the invoice
    amount: str
    charge: NotRequired[str]
    product: NotRequired[str]
    description: NotRequired[str]
    quantity: NotRequired[str | None]  # None: an amount was credited
    unit: NotRequired[str]
    tax_amount: NotRequired[None]
    asked: NotRequired[Mapping[str, Any]]  # as it was requested; a repeated request is known by it


class GivenBack(TypedDict):
    """What a credit note gives back to prepaid credits."""

    grant: str  # the credit grant's code
    amount: str
    invoice: NotRequired[str]  # whose charges it had paid, where that is another than this one


class CreditNoteEntry(TypedDict):
    """So much of the invoice need not be paid."""

    number: int  # 1, 2, … of the invoice
    reference: str  # names it once and for all
    amount: str  # what is no longer to be paid
    tax_amount: None
    reason: str
    author: str
    at: str  # RFC 3339
    series: NotRequired[bool]  # it has a number of the namespace's series, as all since that exists
    lines: NotRequired[list[CreditedLine]]  # the lines that it names
    subtotal: NotRequired[str]  # what it credits in all, where prepaid credits had paid a part of it
    prepaid: NotRequired[list[GivenBack]]  # that part
    spread: NotRequired[list[CreditedLine]]  # of one that names no lines: what it credits of each
    order: NotRequired[int]  # 1, 2, … among the credit notes of the chain


class NoteClaim(TypedDict):
    """What the version that added the last credit note was worked out from."""

    version: int  # that version
    head: str  # invoice_id of the chain's last invoice then
    voids: list[str]  # ids of the chain's void invoices then, sorted
    order: int  # the credit note's among those of the chain


class Hold(TypedDict):
    """Why and since when a draft is held back."""

    reason: str
    author: str
    at: str  # RFC 3339


class Draft(TypedDict):
    """What a draft says of itself as a draft."""

    ready_at: str  # RFC 3339: the period's end and the plan's grace
    approval: str  # required, none
    payment_terms_days: int  # from its finalisation to its due date
    content: int  # the version that its content is of
    held: NotRequired[Hold]
    holds: NotRequired[int]  # how often it was held and released


class Approval(TypedDict):
    """Who approved which version of the draft."""

    author: str
    at: str  # RFC 3339
    draft: int  # its newest version then
    content: int  # the version that its content was of


class Voided(TypedDict):
    """Why an invoice is void, and what its chain was then."""

    reason: str
    author: str
    at: str  # RFC 3339
    head: str  # invoice_id of the chain's last invoice then
    voids: list[str]  # ids of the chain's void invoices then, sorted


class PlanOfLine(TypedDict):
    """The plan of a line that is of another than its invoice's."""

    plan: str
    plan_version: int


class Body(msgspec.Struct, frozen=True):
    """What the record's ``body`` says. Every field may be missing: most are there only where they say something, and
    older releases had fewer. Fields of later releases are kept, in their order, by all that is made of it."""

    fields: Mapping[str, Any]
    """As decoded; never changed."""

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def _get(self, name: str, otherwise: T) -> T:
        value: T = self.fields.get(name, otherwise)
        return value

    @property
    def subtotal(self) -> str | None:
        """All lines but prepaid credits, before tax."""
        return self._get("subtotal", None)

    @property
    def tax_amount(self) -> str | None:
        """None: tax is left to others, who add it to the subtotal."""
        return self._get("tax_amount", None)

    @property
    def due_date(self) -> str | None:
        """Local date, ISO 8601, by which it is to be paid; None on a draft."""
        return self._get("due_date", None)

    @property
    def time_zone_data(self) -> str | None:
        """The IANA release by which the period's bounds were found; None for UTC."""
        return self._get("time_zone_data", None)

    @property
    def terms(self) -> Mapping[str, Any]:
        """Discounts and commitment of its period as pinned (``rating.subscriptions.terms.Terms``); empty for none."""
        return self._get("terms", {})

    @property
    def terms_ahead(self) -> Mapping[str, Any]:
        """Discounts of the next period, whose fees in advance it bills."""
        return self._get("terms_ahead", {})

    @property
    def terms_of(self) -> str | None:
        """``period``: discounts are worked out by period; None: over all of an invoice's charges, as they once were."""
        return self._get("terms_of", None)

    @property
    def noted(self) -> Mapping[str, int]:
        """Adjusted invoice → how many credit notes it had that this one counted."""
        return self._get("noted", {})

    @property
    def after_note(self) -> int | None:
        """The last credit note of the chain that it counted, 0 for none; None where it adjusts nothing."""
        return self._get("after_note", None)

    @property
    def line_plans(self) -> Mapping[str, PlanOfLine]:
        """Number of a line, as text → its plan, where that is another than the invoice's."""
        return self._get("line_plans", {})

    @property
    def voids(self) -> Sequence[str]:
        """Ids of the chain's void invoices that it was planned after, sorted."""
        return self._get("voids", ())

    @property
    def reissues(self) -> str | None:
        """invoice_id of the void invoice whose period it bills again."""
        return self._get("reissues", None)

    @property
    def after(self) -> str | None:
        """run_id of its predecessor; None for the first of a chain, and on invoices of before this was written."""
        return self._get("after", None)

    @property
    def holds(self) -> int | None:
        """How often its draft was held and released; None for never."""
        return self._get("holds", None)

    @property
    def change(self) -> str | None:
        """RFC 3339: it settles fees in advance at this change of them; None for the invoice of a period."""
        return self._get("change", None)

    @property
    def draft(self) -> Draft | None:
        """Of a draft alone."""
        return self._get("draft", None)

    @property
    def approved(self) -> Approval | None:
        """Of an invoice that somebody approved as a draft."""
        return self._get("approved", None)

    @property
    def payments(self) -> Sequence[PaymentEntry]:
        """In the order in which they were recorded."""
        return self._get("payments", ())

    @property
    def credit_notes(self) -> Sequence[CreditNoteEntry]:
        """In the order in which they were made."""
        return self._get("credit_notes", ())

    @property
    def credited(self) -> NoteClaim | None:
        """Of the version that added the last credit note, where that was worked out from a chain."""
        return self._get("credited", None)

    @property
    def void(self) -> Voided | None:
        """Of a void invoice."""
        return self._get("void", None)

    def changed(self, changes: Mapping[str, Any]) -> Body:
        """With these fields: those that it has keep their place, others come last."""
        return Body({**self.fields, **changes})

    def without(self, *names: str) -> Body:
        """Without these fields."""
        return Body({name: value for name, value in self.fields.items() if name not in names})

    def text(self) -> str:
        """As the record has it."""
        return _to_json(self.fields)


EMPTY_BODY: Final = Body({})


@lru_cache(maxsize=4096)  # a body is asked for several times in a row
def body_of_text(text: str) -> Body:
    """What a record's ``body`` says. Raises ValueError."""
    fields = json.loads(text or "{}")
    if not isinstance(fields, dict):
        raise ValueError("the body of an invoice is a JSON object")
    return Body(fields)


def body_of(invoice: Invoice) -> Body:
    """Its subtotal, terms, due date, payments, why it is void or held. Raises ValueError."""
    return body_of_text(invoice.body)


def from_fields(fields: Mapping[str, Any]) -> Invoice:
    """The invoice of a decoded record. Raises CodecError where a field has another type."""
    try:
        return msgspec.convert(fields, Invoice)
    except msgspec.ValidationError as error:
        raise CodecError(f"invoice: {error}") from error


def to_fields(invoice: Invoice) -> dict[str, Any]:
    """The record as the codec takes it."""
    fields = msgspec.structs.asdict(invoice)
    fields["lines"] = [line_fields(line) for line in invoice.lines]
    return fields


def line_fields(line: Line) -> dict[str, Any]:
    """The line as the codec takes it."""
    fields = msgspec.structs.asdict(line)
    del fields["of_plan"]
    fields["profile_versions"] = list(line.profile_versions)
    return fields


def decode_invoice(value: bytes) -> Invoice:
    """The invoice in a record of usage.invoices. Raises CodecError for foreign bytes."""
    return from_fields(codec("invoice").decode(value))


def encode_invoice(invoice: Invoice) -> bytes:
    """The record's bytes. Raises CodecError."""
    return codec("invoice").encode(to_fields(invoice))
