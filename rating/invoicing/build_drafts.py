"""Drafts: invoices of ended periods before they are finalised; created, refreshed, withdrawn. Pure.

``invoices/draft_decisions.py`` defines drafts and the decisions on them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from rating.invoices.amounts.listed_values import listed
from rating.invoices.amounts.prepaid_credits import Wallet
from rating.invoices.draft_decisions import draft_of, following
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import Totals
from rating.invoicing.due import Due
from rating.invoicing.run_plan import RunPlan, invoice_of
from rating.subscriptions.timeline import PlanningError
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_claims import DRAFT, WITHDRAWN
from schemas.ledgers.invoice_details import Draft
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

_OF_ITS_RUN: Final[JsonObject] = {
    "version": 0, "run_id": "", "checkpoint": 0, "catalog_offset": 0, "as_of": 0, "claim_id": "", "body": "",
}  # fmt: skip


def build_drafts(
    plan: RunPlan, totals: Totals, run: Run, standing: StandingInvoices
) -> tuple[tuple[Invoice, ...], tuple[str, ...]]:
    """(draft versions to write, messages about what cannot be rated) for a plan of drafts. Drafts with unchanged
    content get no version.

    A subscription's drafts draw on prepaid credits in sequence, independently of other subscriptions' drafts.
    """
    drafts: list[Invoice] = []
    failed: dict[str, str] = {}
    held_back: set[str] = set()
    wallets: dict[str, Wallet] = {}
    run_before: dict[str, str] = {}  # subscription → run of its previous draft
    wallet_of_all = Wallet(plan.grants, plan.drawn)
    for billing in plan.billings:
        due = billing.due
        if due.subscription in failed:
            continue
        wallet = wallets.setdefault(due.subscription, wallet_of_all.apart())
        run_after = run_before.get(due.subscription, due.position.after)
        try:
            found = invoice_of(replace(billing, due=due.after_run(run_after)), totals, run, wallet)
        except PlanningError as error:
            failed[due.subscription] = str(error)
            continue
        if found is None:
            continue
        held_back.add(due.invoice_id)
        known = standing.draft(due.namespace, due.invoice_id)
        draft = _drafted(listed(found, plan.listed), due, known)
        if known is not None and _content(known) == _content(draft):
            run_before[due.subscription] = known.run_id
        else:
            run_before[due.subscription] = run.run_id
            drafts.append(draft)
    for draft in standing.drafts(plan.namespace):
        known_of = draft.subscription in plan.planned and draft.period_end <= plan.as_of_us
        if known_of and draft.invoice_id not in held_back and draft.subscription not in failed:
            drafts.append(following(draft, {"state": WITHDRAWN}, {"content": draft.version + 1}))
    return tuple(drafts), tuple(failed.values())


def _drafted(invoice: Invoice, due: Due, known: Invoice | None) -> Invoice:
    """``invoice`` as the draft's version after ``known``, held if that is."""
    version = known.version + 1 if known is not None else 1
    draft: Draft = {
        "ready_at": rfc3339(due.ready_us), "approval": due.plan.approval,
        "payment_terms_days": due.plan.payment_terms_days, "content": version,
    }  # fmt: skip
    held = {name: value for name, value in draft_of(known).items() if name in ("holds", "held")} if known else {}
    body = body_of(invoice).without("due_date").changed({"draft": {**draft, **held}})
    text = f"{invoice.claim_id}:draft:{version}"
    claim_id = blake2b(text.encode(), digest_size=12).hexdigest()
    return replace(invoice, version=version, state=DRAFT, body=body.text(), claim_id=claim_id)


def _content(draft: Invoice) -> tuple[Any, ...]:
    """What is approved: everything except the run and the hold."""
    body = body_of(draft)
    terms = {name: value for name, value in (body.draft or {}).items() if name not in ("content", "holds", "held")}
    # Which credit notes it counted of what it adjusts, ``noted`` says.
    return replace(draft, **_OF_ITS_RUN), body.without("after_note", "draft"), terms
