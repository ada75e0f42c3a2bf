"""The JSON ``body`` of a stored invoice, as far as the independent checks read it. It shares no code with the close."""

from __future__ import annotations

from functools import lru_cache
from typing import TypedDict

from schemas.values.json_text import stored


class DiscountTerm(TypedDict, total=False):
    """A discount pinned on an invoice. ``percent`` or ``amount`` is there; without ``product`` it is on the whole.

    ``periods``: for how many periods it holds. ``end``: an RFC 3339 instant or a local date.
    """

    code: str
    product: str
    percent: str
    amount: str
    periods: int
    end: str


class PeriodTerms(TypedDict, total=False):
    """The terms of one billing period; ``minimum_commitment`` in major units."""

    discounts: list[DiscountTerm]
    minimum_commitment: str


class StoredNoteLine(TypedDict):
    """How much (major units) a credit note credits of a line, by the line's number."""

    line: int
    amount: str


class PrepaidPart(TypedDict):
    """What a credit note gives back to a prepaid grant, major units."""

    grant: str
    amount: str


class StoredCreditNote(TypedDict, total=False):
    """A credit note. ``at``: RFC 3339. ``lines``, or ``spread`` over them: which lines it credits; a note with neither
    credits all in proportion to what is left of each. ``order``: its rank among its chain's, from 1; none in records of
    older releases."""

    at: str
    order: int
    amount: str
    lines: list[StoredNoteLine]
    spread: list[StoredNoteLine]
    prepaid: list[PrepaidPart]


class ChainOfNote(TypedDict):
    """What the chain was when an invoice's last credit note was written: ``head``, the id of its last invoice."""

    head: str


class StoredPayment(TypedDict, total=False):
    """A payment; ``invoice``: the invoice below zero that pays this one, or that this one pays."""

    invoice: str
    reference: str
    amount: str


class InvoiceBody(TypedDict, total=False):
    """``voids``: void invoices of the subscription that it was planned after. ``reissues``: the void one whose period
    it bills again. ``terms``: of its own period; ``terms_ahead``: of the one after, for fees in advance. ``terms_of``:
    "period" since terms are those of periods. ``change``: it settles fees of a running period; ``interim``: it bills
    what was used of one. ``noted``: how many credit notes of earlier invoices it counted; ``after_note``: the rank of
    the last of them in the chain, 0: none."""

    voids: list[str]
    reissues: str
    terms: PeriodTerms
    terms_ahead: PeriodTerms
    terms_of: str
    change: object
    interim: object
    subtotal: str
    credit_notes: list[StoredCreditNote]
    credited: ChainOfNote
    noted: dict[str, int]
    after_note: int
    payments: list[StoredPayment]


@lru_cache(maxsize=256)  # each check of an invoice reads it, and nobody changes what it gives
def read_body(text: str) -> InvoiceBody:
    """The fields of a body's text; empty text has none. Raises ValueError where it is no JSON."""
    fields: InvoiceBody = stored(text or "{}")
    return fields
