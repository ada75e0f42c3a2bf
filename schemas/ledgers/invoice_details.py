"""An invoice's ``body``: terms, draft, payments, credit notes, void, and totals before credits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NotRequired, TypedDict, TypeVar

import msgspec

from schemas.values.json_text import stored, to_json

T = TypeVar("T")


class PaymentEntry(TypedDict):
    """A payment, or a transfer of another invoice's balance."""

    reference: str  # unique identifier
    amount: str  # negative: refunded
    paid_at: str  # RFC 3339
    author: str
    invoice: NotRequired[str]  # the other invoice of a transfer


class CreditedLineRecord(TypedDict):
    """A line of a credit note."""

    line: int  # its number on the invoice
    amount: str
    charge: NotRequired[str]
    product: NotRequired[str]
    description: NotRequired[str]
    quantity: NotRequired[str | None]  # None: an amount was credited
    unit: NotRequired[str]
    tax_amount: NotRequired[None]
    asked: NotRequired[Mapping[str, Any]]  # the request, by which a repeated request is recognised


class GivenBack(TypedDict):
    """Prepaid credit restored by a credit note."""

    grant: str  # the credit grant's code
    amount: str
    invoice: NotRequired[str]  # the invoice whose charges it had paid, if that is another one


class CreditNoteEntry(TypedDict):
    """A credit note, which reduces the amount due."""

    number: int  # 1, 2, … on the invoice
    reference: str  # unique identifier
    amount: str  # reduction of the amount due
    tax_amount: None
    reason: str
    author: str
    at: str  # RFC 3339
    series: NotRequired[bool]  # whether it has a legal number; older credit notes have none
    lines: NotRequired[list[CreditedLineRecord]]  # the credited lines, if it names any
    subtotal: NotRequired[str]  # the total credited, if prepaid credits had paid a part of it
    prepaid: NotRequired[list[GivenBack]]  # that part, restored to the grants
    spread: NotRequired[list[CreditedLineRecord]]  # if it names no lines: its distribution over the lines
    order: NotRequired[int]  # 1, 2, … among the credit notes of the chain


class NoteClaim(TypedDict):
    """The state of the chain on which the version with the last credit note is based."""

    version: int  # that version
    head: str  # invoice_id of the chain's last invoice then
    voids: list[str]  # ids of the chain's void invoices then, sorted
    order: int  # the credit note's among those of the chain


class DraftHold(TypedDict):
    """Reason and time of holding a draft."""

    reason: str
    author: str
    at: str  # RFC 3339


class Draft(TypedDict):
    """The draft-specific part of a body."""

    ready_at: str  # RFC 3339: the period's end plus the plan's grace
    approval: str  # required, none
    payment_terms_days: int  # days from finalisation to the due date
    content: int  # the draft version in which its content last changed
    held: NotRequired[DraftHold]
    holds: NotRequired[int]  # how often it was held and released


class DraftApproval(TypedDict):
    """The approval of a draft."""

    author: str
    at: str  # RFC 3339
    draft: int  # the draft's version at that time
    content: int  # the draft version in which its content had last changed


class InvoiceVoid(TypedDict):
    """Reason of voiding an invoice, and the state of its chain at that time."""

    reason: str
    author: str
    at: str  # RFC 3339
    head: str  # invoice_id of the chain's last invoice then
    voids: list[str]  # ids of the chain's void invoices then, sorted
    after_note: NotRequired[int]  # rank of the chain's last credit note then, 0: none; where it adjusts others


class InterimMark(TypedDict):
    """That an invoice bills what was used of a running period, which the period's own invoice takes off."""

    episode: int  # 1, 2, … of its period, void ones counted
    threshold: NotRequired[str]  # the plan's then, in the invoice's currency


class PlanOfLine(TypedDict):
    """The plan of a line that differs from its invoice's."""

    plan: str
    plan_version: int


class Overage(TypedDict):
    """What one unit of an invoice in an own unit comes to in money."""

    currency: str  # ISO 4217
    rate: str  # money for one unit


class Body(msgspec.Struct, frozen=True):
    """The record's ``body``. Every field may be missing: most exist only if they apply, and older releases had
    fewer. Fields of newer releases are preserved, in order, when a body is changed."""

    fields: Mapping[str, Any]
    """The decoded JSON object; not to be modified."""

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def _get(self, name: str, otherwise: T) -> T:
        value: T = self.fields.get(name, otherwise)
        return value

    @property
    def subtotal(self) -> str | None:
        """Sum of all lines except prepaid credits, before tax."""
        return self._get("subtotal", None)

    @property
    def tax_amount(self) -> str | None:
        """None: tax is computed by other systems, which add it to the subtotal."""
        return self._get("tax_amount", None)

    @property
    def overage(self) -> Overage | None:
        """Of an invoice in an own unit: what is to be paid for what prepaid credits do not cover; None: no money."""
        return self._get("overage", None)

    @property
    def due_date(self) -> str | None:
        """Local due date (ISO 8601); None on a draft."""
        return self._get("due_date", None)

    @property
    def time_zone_data(self) -> str | None:
        """The IANA tzdata release by which the period's bounds were computed; None for UTC."""
        return self._get("time_zone_data", None)

    @property
    def terms(self) -> Mapping[str, Any]:
        """Pinned discounts and commitment of its period (``period_terms.Terms``); empty if none."""
        return self._get("terms", {})

    @property
    def terms_ahead(self) -> Mapping[str, Any]:
        """Pinned discounts of the next period, whose fees it bills in advance."""
        return self._get("terms_ahead", {})

    @property
    def terms_of(self) -> str | None:
        """``period``: discounts are computed per period; None: over all of an invoice's charges, as older releases
        did."""
        return self._get("terms_of", None)

    @property
    def noted(self) -> Mapping[str, int]:
        """Adjusted invoice → number of its credit notes that this invoice considered."""
        return self._get("noted", {})

    @property
    def after_note(self) -> int | None:
        """Rank of the chain's last credit note that it considered, 0 for none; None if it adjusts nothing."""
        return self._get("after_note", None)

    @property
    def line_plans(self) -> Mapping[str, PlanOfLine]:
        """Line number as text → the line's plan, where it differs from the invoice's."""
        return self._get("line_plans", {})

    @property
    def voids(self) -> Sequence[str]:
        """Sorted ids of the chain's void invoices that its plan considered."""
        return self._get("voids", ())

    @property
    def reissues(self) -> str | None:
        """invoice_id of the void invoice whose period it bills again."""
        return self._get("reissues", None)

    @property
    def after(self) -> str | None:
        """run_id of its predecessor; None for the first of a chain and on invoices of older releases."""
        return self._get("after", None)

    @property
    def holds(self) -> int | None:
        """How often its draft was held and released; None for never."""
        return self._get("holds", None)

    @property
    def change(self) -> str | None:
        """RFC 3339 instant of the change at which it settles fees billed in advance; None for the invoice of a
        period."""
        return self._get("change", None)

    @property
    def interim(self) -> InterimMark | None:
        """What an interim invoice says of itself; None on others."""
        return self._get("interim", None)

    @property
    def draft(self) -> Draft | None:
        """The draft-specific part; None on an invoice."""
        return self._get("draft", None)

    @property
    def approved(self) -> DraftApproval | None:
        """The approval, if the invoice was approved as a draft."""
        return self._get("approved", None)

    @property
    def payments(self) -> Sequence[PaymentEntry]:
        """Payments in the order of their recording."""
        return self._get("payments", ())

    @property
    def credit_notes(self) -> Sequence[CreditNoteEntry]:
        """Credit notes in the order of their creation."""
        return self._get("credit_notes", ())

    @property
    def credited(self) -> NoteClaim | None:
        """The chain state of the last credit note, if it is based on one."""
        return self._get("credited", None)

    @property
    def void(self) -> InvoiceVoid | None:
        """The voiding, on a void invoice."""
        return self._get("void", None)

    def changed(self, changes: Mapping[str, Any]) -> Body:
        """A copy with these fields changed; existing fields keep their place, new ones are appended."""
        return Body({**self.fields, **changes})

    def without(self, *names: str) -> Body:
        """A copy without these fields."""
        return Body({name: value for name, value in self.fields.items() if name not in names})

    def text(self) -> str:
        """The JSON text for the record."""
        return to_json(self.fields)


EMPTY_BODY: Final = Body({})


@lru_cache(maxsize=4096)  # the same body is usually needed several times in a row
def body_of_text(text: str) -> Body:
    """Decode a record's ``body``. Raises ValueError."""
    fields = stored(text or "{}")
    if not isinstance(fields, dict):
        raise ValueError("the body of an invoice is a JSON object")
    return Body(fields)
