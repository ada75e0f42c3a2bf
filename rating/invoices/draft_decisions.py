"""Decisions on drafts (hold, release, approve) and their next versions. Pure.

A draft is a record on usage.invoices under the id of the future invoice, with versions of its own
(schemas/ledgers/invoice_claims.claim_of). It has no place in its chain, no number and no due date, and does not
count as billed. A close finalises what is due; if the plan requires approval, a person does, and exactly the
version they reviewed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rating.invoices.amounts.billed_of_period import NOTED
from rating.invoices.amounts.credited_in_all import beside, carriers
from rating.invoices.amounts.reductions import paid
from rating.invoices.chain import last_order, voids_of
from rating.invoices.transitions import ChangeRefused, due_date
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from rating.pricing.reduction_lines import Balance
from schemas.ledgers.invoice_claims import FINALIZED, PAID, VOID, WITHDRAWN, is_draft
from schemas.ledgers.invoice_details import Draft, DraftApproval
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class DraftDecision:
    """A person's decision on a draft. ``at_us``: microseconds UTC."""

    author: str
    at_us: int


def draft_of(invoice: Invoice) -> Draft:
    """The draft-specific part of a body. Raises ValueError for an invoice."""
    draft = body_of(invoice).draft
    if draft is None:
        raise ValueError(f"invoice {invoice.invoice_id} is no draft")
    return draft


def waits(draft: Draft, end_us: int) -> str:
    """What a draft waits for and since when, in words; its period ended at ``end_us``."""
    if (held := draft.get("held")) is not None:
        return f"held since {held['at']} by {held['author']}: {held['reason']}"
    if draft["approval"] == "required":
        return f"awaits approval since {rfc3339(end_us)}"
    return f"is finalised by the first close from {draft['ready_at']} on, after the drafts before it"


def awaiting(drafts: Iterable[Invoice]) -> list[str]:
    """A message for each draft that needs a decision, ordered by account and period."""
    undecided = [
        invoice for invoice in drafts if "held" in (draft := draft_of(invoice)) or draft["approval"] == "required"
    ]
    undecided.sort(key=lambda invoice: (invoice.account_id, invoice.subscription, invoice.period_start))
    return [
        f"invoice {invoice.invoice_id} of {invoice.account_id} over {invoice.total} {invoice.currency}, period from"
        f" {rfc3339(invoice.period_start)}: {waits(draft_of(invoice), invoice.period_end)}"
        for invoice in undecided
    ]


def held(invoice: Invoice, reason: str, decision: DraftDecision) -> Invoice | None:
    """The draft in state held; None if it is held already. Raises Refused."""
    draft = _open(invoice, "held")
    if "held" in draft:
        return None
    hold = {"reason": reason, "author": decision.author, "at": rfc3339(decision.at_us)}
    return following(invoice, {}, {"held": hold, "holds": draft.get("holds", 0) + 1})


def released(invoice: Invoice) -> Invoice | None:
    """The draft, no longer held; None if it is not held. Raises Refused."""
    draft = _open(invoice, "released")
    if "held" not in draft:
        return None
    return following(invoice, {}, {"held": None, "holds": draft["holds"] + 1})


def approved(
    chain: Sequence[Invoice], invoice: Invoice, version: int, decision: DraftDecision, balances: Sequence[Balance]
) -> Invoice | None:
    """The invoice that the draft becomes, with unchanged content; None if that version was approved already.

    ``balances``: prepaid credits that the invoice may draw on now, in order. If they differ from those of the
    draft, returns the draft's next version with the new ones, which must be reviewed again. Raises Refused.
    """
    name = invoice.invoice_id
    if not is_draft(invoice):
        approval_recorded = body_of(invoice).approved
        if approval_recorded is not None and approval_recorded["content"] <= version <= approval_recorded["draft"]:
            return None
        looked = (
            f"version {approval_recorded['draft']} of its draft was approved"
            if approval_recorded is not None
            else "it needed no approval"
        )
        raise ChangeRefused(f"invoice {name} is {invoice.state} already: {looked}; void it if it is wrong")
    draft = _open(invoice, "approved")
    if (hold := draft.get("held")) is not None:
        raise ChangeRefused(f"draft {name} is held since {hold['at']}: {hold['reason']}; release it first")
    if draft["approval"] != "required":
        raise ChangeRefused(f"draft {name} needs no approval: the first close from {draft['ready_at']} on finalises it")
    if not draft["content"] <= version <= invoice.version:
        raise ChangeRefused(
            f"draft {name} is at version {invoice.version}, and was refreshed with other content since version "
            f"{version};"
            " look at it again and approve that version"
        )
    _check_chain(chain, invoice)
    _check_notes(chain, invoice)
    if (refreshed := _paid_again(invoice, balances)) is not None:
        return refreshed
    approval: DraftApproval = {
        "author": decision.author, "at": rfc3339(decision.at_us), "draft": invoice.version, "content": draft["content"],
    }  # fmt: skip
    changes: JsonObject = {
        "due_date": due_date(decision.at_us, invoice.time_zone, draft["payment_terms_days"]),
        "approved": approval,
    }
    if "holds" in draft:
        changes["holds"] = draft["holds"]
    if any(line.adjusts for line in invoice.lines) or '"after_note"' in invoice.body:
        changes["after_note"] = last_order(chain)
    body = body_of(invoice).without("draft").changed(changes)
    return replace(invoice, version=1, state=FINALIZED if Decimal(invoice.total) else PAID, body=body.text())


def _check_notes(chain: Sequence[Invoice], draft: Invoice) -> None:
    """Raises Refused if an invoice that the draft adjusts, or one of a period beside it, or one off whose fees in
    advance its discounts are, has other credit notes than the draft considered."""
    changed = {line.adjusts for line in draft.lines if line.charge != NOTED}
    names = {line.adjusts for line in draft.lines}
    names |= beside([invoice for invoice in chain if invoice.state != VOID], changed)
    if '"terms"' in draft.body or '"change"' in draft.body:
        names |= carriers(chain, draft.period_start)
    counted = body_of(draft).noted
    for invoice in chain:
        name = invoice.invoice_id
        if name in names and len(body_of(invoice).credit_notes) != counted.get(name, 0):
            raise ChangeRefused(
                f"invoice {name}, which draft {draft.invoice_id} counts on, has other credit notes than it was made "
                "with; `weir close`"
                " refreshes it, then look at it again"
            )


def _open(invoice: Invoice, what: str) -> Draft:
    """The draft-specific part. Raises Refused if it is no longer a draft."""
    name = invoice.invoice_id
    if not is_draft(invoice):
        raise ChangeRefused(
            f"invoice {name} is {invoice.state} and no draft, so it cannot be {what}; void it if it is wrong"
        )
    if invoice.state == WITHDRAWN:
        raise ChangeRefused(f"draft {name} was withdrawn: its period is not to be billed any longer")
    return draft_of(invoice)


def _check_chain(chain: Sequence[Invoice], draft: Invoice) -> None:
    """Raises Refused if the chain has changed since the draft was planned."""
    name, predecessor = draft.invoice_id, draft.predecessor
    if predecessor and all(invoice.invoice_id != predecessor for invoice in chain):
        raise ChangeRefused(
            f"draft {name} follows {predecessor}, which is a draft itself; approve or release that one first"
        )
    body = body_of(draft)
    head, run = (chain[-1].invoice_id, chain[-1].run_id) if chain else ("", None)
    if (head, run, voids_of(chain)) != (predecessor, body.after, tuple(body.voids)):
        raise ChangeRefused(
            f"the invoices before draft {name} are others than it was made after; `weir close` refreshes it, then "
            "look at it again"
        )


def _paid_again(draft: Invoice, balances: Sequence[Balance]) -> Invoice | None:
    """The draft's next version if prepaid credits pay a different part of it now; else None."""
    currency, spans = draft.currency, (draft.period_start, draft.period_end)
    charged = [line for line in draft.lines if line.kind != "credit"]
    subtotal = exact_sum(Decimal(line.amount) for line in charged)
    back = [line for line in draft.lines if line.kind == "credit" and line.adjusts]
    of_products = (Decimal(line.amount) for line in back if '"products"' in line.price)
    payable = exact_sum((subtotal, *of_products))
    lines = [*charged, *paid(payable, balances, currency, *spans, charged), *back]
    numbered = tuple(replace(line, number=number) for number, line in enumerate(lines, 1))
    if numbered == draft.lines:
        return None
    total = money_text(exact_sum(Decimal(line.amount) for line in numbered), currency)
    return following(draft, {"lines": numbered, "total": total}, {"content": draft.version + 1})


def following(invoice: Invoice, changes: Mapping[str, Any], draft_changes: Mapping[str, Any]) -> Invoice:
    """The draft's next version; ``draft_changes``: changes of its draft-specific part, None removes a field."""
    draft = {name: value for name, value in {**draft_of(invoice), **draft_changes}.items() if value is not None}
    body = body_of(invoice).changed({"draft": draft})
    return replace(invoice, version=invoice.version + 1, body=body.text(), claim_id="", **changes)
