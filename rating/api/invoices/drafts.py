"""POST /v1/invoices/{id}/approve, …/hold and …/release: what somebody decides on a draft."""

from __future__ import annotations

from contextlib import nullcontext
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from rating.api.context import Authorized, Rating, View
from rating.api.invoices.changes import amended, changed, numbered
from rating.api.rating_problems import RatingProblem
from rating.invoices.amounts.prepaid_credits import Wallet, drawn, owned_grants
from rating.invoices.draft_decisions import DraftDecision, approved, held, released
from rating.invoices.read import read_invoice
from rating.pricing.reduction_lines import Balance
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_claims import is_draft
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


class Approval(BaseModel):
    """``version``: of the draft, as it was looked at."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Hold(BaseModel):
    """``reason``: why the draft is held back; it is kept with it."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


@router.post("/v1/invoices/{invoice_id}/approve", summary="Approve a draft: it is finalised just as it was looked at")
async def approve(request: Request, rating: Authorized, view: View, invoice_id: str, body: Approval) -> JsonObject:
    """The invoice, with its number and due date; the same approval again changes nothing. What came since the draft's
    checkpoint is adjusted on the next invoice. 409: it was refreshed with other content since that version, is held,
    follows a draft, or is none any longer; the answer says what to do."""
    decision = DraftDecision(request.state.access.author, micros(rating.now_of(view)))

    def change(chain: list[Invoice], draft: Invoice) -> Invoice | None:
        return approved(chain, draft, body.version, decision, _balances(rating, view, draft))

    # Two drafts of one account that are approved at once share its credits: the second is to see what the first has
    # drawn.
    shared = any(owned.grant.account is not None for owned in owned_grants(view))
    async with rating.approving[view.namespace] if shared else nullcontext():
        stands = await amended(rating, view.namespace, invoice_id, change)
    if is_draft(stands):
        raise RatingProblem(
            HTTPStatus.CONFLICT,
            f"prepaid credits pay another part of draft {invoice_id} now; it was refreshed: look at version"
            f" {stands.version} and approve that",
        )
    await numbered(rating, view, stands)
    shown = await rating.ask(lambda client: read_invoice(client, view.namespace, invoice_id))
    assert shown is not None
    return shown.to_json()


@router.post("/v1/invoices/{invoice_id}/hold", summary="Hold a draft back: it is not finalised until it is released")
async def hold(request: Request, rating: Authorized, view: View, invoice_id: str, body: Hold) -> JsonObject:
    """The draft as it then stands; one that is held already stays as it is. Later periods of its subscription wait for
    it. 409: it is finalised."""
    decision = DraftDecision(request.state.access.author, micros(rating.now_of(view)))
    return await changed(rating, view.namespace, invoice_id, lambda _, draft: held(draft, body.reason, decision))


@router.post("/v1/invoices/{invoice_id}/release", summary="Release a draft that was held back")
async def release(rating: Authorized, view: View, invoice_id: str) -> JsonObject:
    """The draft as it then stands. The next close refreshes it, and finalises it if it is due and needs no approval."""
    return await changed(rating, view.namespace, invoice_id, lambda _, draft: released(draft))


def _balances(rating: Rating, view: NamespaceView, draft: Invoice) -> list[Balance]:
    """What the invoice may draw on now. Raises LedgerUnavailable."""
    grants = owned_grants(view)
    account = draft.account_id
    if not any(grant.account_id == account for grant in grants):
        return []

    used = drawn(rating.invoice_ledger.of_account(view.namespace, account))
    moment_us = max(draft.period_end - 1, draft.period_start)
    return Wallet(grants, used).balances(account, draft.subscription, draft.currency, moment_us)
