"""POST /v1/invoices/{id}/void, …/payments and …/credit-notes: what becomes of an invoice after it was finalised."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Final, Self

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import RatingProblem, missing, unavailable
from rating.invoices.amend import Amendment, wait_shown
from rating.invoices.amounts.prepaid.overage import in_units
from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoices.numbering import number_invoices
from rating.invoices.read import read_invoice
from rating.invoices.transitions import ChangeRefused, NewPayment, voided, with_payment
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.invoice_record import Invoice
from schemas.values.fine_instants import Cut
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

_SHOWN_SECONDS: Final = 10.0

router = APIRouter(tags=["invoices"])


class Void(BaseModel):
    """``reason``: why the invoice is void; it is kept with it."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class Paid(BaseModel):
    """``amount``: in the invoice's currency, as text or number; negative: paid back. ``currency``: that of the amount
    where it is the invoice's ``payable``, of which all is paid. ``reference``: the same one is recorded once."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[Decimal, Field(allow_inf_nan=False, max_digits=26, decimal_places=12)]
    currency: Annotated[str, StringConstraints(max_length=30)] | None = None
    reference: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    paid_at: Annotated[datetime, Cut] | None = None


class CreditedLine(BaseModel):
    """Of line ``line``: an ``amount``, or so much of its ``quantity`` at the line's average price."""

    model_config = ConfigDict(extra="forbid")

    line: Annotated[int, Field(ge=1, le=2**31 - 1)]
    amount: Annotated[Decimal, Field(allow_inf_nan=False, max_digits=26, decimal_places=12)] | None = None
    quantity: Annotated[Decimal, Field(allow_inf_nan=False, max_digits=38, decimal_places=12)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.amount is None) == (self.quantity is None):
            raise ValueError("give either amount or quantity")
        return self


class Credited(BaseModel):
    """``amount``: in the invoice's currency, more than 0; or ``lines``, whose sum it then is. ``reference``: the same
    one is recorded once."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[Decimal, Field(allow_inf_nan=False, max_digits=26, decimal_places=12)] | None = None
    lines: Annotated[list[CreditedLine], Field(min_length=1, max_length=1000)] | None = None
    reference: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.amount is None) == (self.lines is None):
            raise ValueError("give either amount or lines")
        return self


@router.post(
    "/v1/invoices/{invoice_id}/void",
    summary="Void an invoice: it counts nowhere, and the next close bills its period again",
)
async def void(request: Request, rating: Authorized, view: View, invoice_id: str, body: Void) -> JsonObject:
    """The invoice as it then stands; one that is void already stays as it is. 409 says what must come first."""
    author, now_us = request.state.access.author, micros(rating.now_of(view))
    return await changed(
        rating, view.namespace, invoice_id, lambda chain, invoice: voided(chain, invoice, body.reason, author, now_us)
    )


@router.post("/v1/invoices/{invoice_id}/payments", summary="Record a payment; the same reference again changes nothing")
async def payments(request: Request, rating: Authorized, view: View, invoice_id: str, body: Paid) -> JsonObject:
    """The invoice as it then stands: `paid` once `amount_paid` reaches `total`. 409: more than is due, or another
    amount under a reference that is recorded already."""
    paid_at = _aware(body.paid_at) or rating.now_of(view)
    payment = NewPayment(body.reference, body.amount, micros(paid_at), request.state.access.author)
    return await changed(
        rating,
        view.namespace,
        invoice_id,
        lambda _, invoice: with_payment(invoice, in_units(invoice, payment, body.currency)),
    )


@router.post(
    "/v1/invoices/{invoice_id}/credit-notes",
    summary="Credit a part or all of an invoice, or of its lines; the same reference again changes nothing",
)
async def credit_notes(request: Request, rating: Authorized, view: View, invoice_id: str, body: Credited) -> JsonObject:
    """The invoice as it then stands: `amount_due` is less by the credit note's `amount`; what prepaid credits had paid
    of it is in `prepaid`, and can be drawn on again. It has a number of a series of its own. 409: more than was billed
    in all, more of a line than it billed, or another amount under a reference that is recorded already."""
    author, now_us = request.state.access.author, micros(rating.now_of(view))
    lines = tuple(LineCredit(credited.line, credited.amount, credited.quantity) for credited in body.lines or ())
    note = NewCreditNote(body.reference, body.amount, body.reason, author, now_us, lines)
    stands = await amended(
        rating, view.namespace, invoice_id, lambda chain, invoice: with_credit_note(invoice, note, chain)
    )
    await numbered(rating, view, stands)
    shown = await rating.ask(lambda client: read_invoice(client, view.namespace, invoice_id))
    assert shown is not None
    return shown.to_json()


def _aware(instant: datetime | None) -> datetime | None:
    if instant is not None and instant.tzinfo is None:
        detail = "has no UTC offset; append Z or +hh:mm"
        raise RatingProblem(HTTPStatus.UNPROCESSABLE_ENTITY, f"paid_at: {detail}", [("body.paid_at", detail)])
    return instant


async def changed(rating: Rating, namespace: str, invoice_id: str, change: Amendment) -> JsonObject:
    """The invoice as it stands after ``change``, shown. Raises Problem."""
    await amended(rating, namespace, invoice_id, change)
    shown = await rating.ask(lambda client: read_invoice(client, namespace, invoice_id))
    assert shown is not None
    return shown.to_json()


async def amended(rating: Rating, namespace: str, invoice_id: str, change: Amendment) -> Invoice:
    """The record that stands after ``change``; ClickHouse has it, too. Raises Problem."""
    present = await rating.ask(lambda client: read_invoice(client, namespace, invoice_id))
    if present is None:
        raise missing(f"there is no invoice {invoice_id[:64]!r} in namespace {namespace}")
    subscription = present.head.subscription
    try:
        stands = await rating.change(lambda: rating.invoice_ledger.amend(namespace, subscription, invoice_id, change))
    except ChangeRefused as refused:
        raise RatingProblem(HTTPStatus.CONFLICT, str(refused)) from None
    except LedgerUnavailable as error:
        raise unavailable(str(error), "ask again, it is recorded once") from None
    if not await rating.ask(lambda client: wait_shown(client, namespace, stands, _SHOWN_SECONDS)):
        raise RatingProblem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "it stands on usage.invoices and will be shown once a worker's `bill` runs; `weir status` tells",
            headers={"Retry-After": "5"},
        )
    return stands


async def numbered(rating: Rating, view: NamespaceView, invoice: Invoice) -> None:
    """Its number, and those of its credit notes, are given and shown. Raises Problem: it stands, and the next close
    gives them."""

    def give(client: Client) -> None:
        with closing(CheckpointLedger(rating.settings)) as ledger:
            number_invoices(ledger, client, view.namespace, view.settings, [invoice], rating.now_of(view))

    try:
        await rating.ask(give)
    except LedgerUnavailable as error:
        detail = f"it stands, and will have its number with the next close: {error}"
        raise RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "1"}) from None
