"""What becomes of a draft until it is an invoice: held, released, approved, its next versions. Pure.

A draft is a record on usage.invoices under the id of the invoice to come, with versions of its own
(schemas/ledgers/invoice_claims.claim_of). It has no place in its chain, no number and no due date, and nothing counts
it as billed. A close finalises what is due; where the plan requires approval, somebody does, and then just what they
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from rating.invoices.amounts.line_balances import last_order
from rating.invoices.amounts.reductions import paid
from rating.invoices.chain import voids_of
from rating.invoices.transitions import Refused, due_date
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from rating.pricing.reduction_lines import Balance
from schemas.ledgers.invoice_claims import FINALIZED, PAID, WITHDRAWN, is_draft
from schemas.ledgers.invoice_record import (
    Approval,
    Draft,
    Invoice,
    body_of,
)
from schemas.values.instants import rfc3339


@dataclass(frozen=True, slots=True)
class Decision:
    """Somebody's word on a draft. ``at_us``: microseconds UTC."""

    author: str
    at_us: int


def draft_of(invoice: Invoice) -> Draft:
    """What a draft's body says of it as a draft. Raises ValueError for an invoice."""
    draft = body_of(invoice).draft
    if draft is None:
        raise ValueError(f"invoice {invoice.invoice_id} is no draft")
    return draft


def waits(draft: Draft, end_us: int) -> str:
    """What a draft waits for, and since when, in words; ``draft``: as its body has it, of a period that ended at
    ``end_us``."""
    if (held := draft.get("held")) is not None:
        return f"held since {held['at']} by {held['author']}: {held['reason']}"
    if draft["approval"] == "required":
        return f"awaits approval since {rfc3339(end_us)}"
    return f"is finalised by the first close from {draft['ready_at']} on, after the drafts before it"


def awaiting(drafts: Iterable[Invoice]) -> list[str]:
    """A sentence for each draft that somebody has to decide on, in the order of their accounts and periods."""
    undecided = [
        invoice for invoice in drafts if "held" in (draft := draft_of(invoice)) or draft["approval"] == "required"
    ]
    undecided.sort(key=lambda invoice: (invoice.account_id, invoice.subscription, invoice.period_start))
    return [
        f"invoice {invoice.invoice_id} of {invoice.account_id} over {invoice.total} {invoice.currency}, period from"
        f" {rfc3339(invoice.period_start)}: {waits(draft_of(invoice), invoice.period_end)}"
        for invoice in undecided
    ]


def held(found: Invoice, reason: str, decision: Decision) -> Invoice | None:
    """The draft as held back; None where it is so already. Raises Refused."""
    draft = _open(found, "held")
    if "held" in draft:
        return None
    told = {"reason": reason, "author": decision.author, "at": rfc3339(decision.at_us)}
    return following(found, {}, {"held": told, "holds": draft.get("holds", 0) + 1})


def released(found: Invoice) -> Invoice | None:
    """The draft as no longer held; None where it is not. Raises Refused."""
    draft = _open(found, "released")
    if "held" not in draft:
        return None
    return following(found, {}, {"held": None, "holds": draft["holds"] + 1})


def approved(
    chain: Sequence[Invoice], found: Invoice, version: int, decision: Decision, balances: Iterable[Balance]
) -> Invoice | None:
    """The invoice that draft ``found`` becomes, just as it is; None where that version of it was approved already.

    ``chain`` as it stands; ``balances``: of prepaid credits that the invoice may draw on now, in order. Where these are
    no longer what the draft was made with, its next version with those that are: a draft, to be looked at anew. Raises
    Refused.
    """
    name = found.invoice_id
    if not is_draft(found):
        seen = body_of(found).approved
        if seen is not None and seen["content"] <= version <= seen["draft"]:
            return None
        looked = f"version {seen['draft']} of its draft was approved" if seen is not None else "it needed no approval"
        raise Refused(f"invoice {name} is {found.state} already: {looked}; void it if it is wrong")
    draft = _open(found, "approved")
    if (hold := draft.get("held")) is not None:
        raise Refused(f"draft {name} is held since {hold['at']}: {hold['reason']}; release it first")
    if draft["approval"] != "required":
        raise Refused(f"draft {name} needs no approval: the first close from {draft['ready_at']} on finalises it")
    if not draft["content"] <= version <= found.version:
        raise Refused(
            f"draft {name} is at version {found.version}, and was refreshed with other content since version {version};"
            " look at it again and approve that version"
        )
    _check_chain(chain, found)
    _check_notes(chain, found)
    if (refreshed := _paid_again(found, balances)) is not None:
        return refreshed
    approval: Approval = {
        "author": decision.author, "at": rfc3339(decision.at_us), "draft": found.version, "content": draft["content"],
    }  # fmt: skip
    changes: dict[str, Any] = {
        "due_date": due_date(decision.at_us, found.time_zone, draft["payment_terms_days"]),
        "approved": approval,
    }
    if "holds" in draft:
        changes["holds"] = draft["holds"]
    if any(line.adjusts for line in found.lines):
        changes["after_note"] = last_order(chain)
    body = body_of(found).without("draft").changed(changes)
    return replace(found, version=1, state=FINALIZED if Decimal(found.total) else PAID, body=body.text())


def _check_notes(chain: Sequence[Invoice], found: Invoice) -> None:
    """Raises Refused where an invoice that the draft adjusts has other credit notes than it counted."""
    names = {line.adjusts for line in found.lines}
    counted = body_of(found).noted
    for one in chain:
        name = one.invoice_id
        if name in names and len(body_of(one).credit_notes) != counted.get(name, 0):
            raise Refused(
                f"invoice {name}, which draft {found.invoice_id} adjusts, has other credit notes than it was made with; `weir close`"
                " refreshes it, then look at it again"
            )


def _open(found: Invoice, what: str) -> Draft:
    """What a draft says of itself. Raises Refused where it is none any longer."""
    name = found.invoice_id
    if not is_draft(found):
        raise Refused(f"invoice {name} is {found.state} and no draft, so it cannot be {what}; void it if it is wrong")
    if found.state == WITHDRAWN:
        raise Refused(f"draft {name} was withdrawn: its period is not to be billed any longer")
    return draft_of(found)


def _check_chain(chain: Sequence[Invoice], found: Invoice) -> None:
    """Raises Refused where the draft was planned after another chain than stands."""
    name, predecessor = found.invoice_id, found.predecessor
    if predecessor and all(one.invoice_id != predecessor for one in chain):
        raise Refused(f"draft {name} follows {predecessor}, which is a draft itself; approve or release that one first")
    body = body_of(found)
    head, run = (chain[-1].invoice_id, chain[-1].run_id) if chain else ("", None)
    if (head, run, voids_of(chain)) != (predecessor, body.after, tuple(body.voids)):
        raise Refused(
            f"the invoices before draft {name} are others than it was made after; `weir close` refreshes it, then look at it again"
        )


def _paid_again(found: Invoice, balances: Iterable[Balance]) -> Invoice | None:
    """The draft's next version where prepaid credits pay another part of it now; None where they pay what it says."""
    currency, spans = found.currency, (found.period_start, found.period_end)
    charged = [line for line in found.lines if line.kind != "credit"]
    subtotal = exact_sum(Decimal(line.amount) for line in charged)
    back = [line for line in found.lines if line.kind == "credit" and line.adjusts]
    lines = [*charged, *paid(subtotal, balances, currency, *spans), *back]
    numbered = tuple(replace(line, number=number) for number, line in enumerate(lines, 1))
    if numbered == found.lines:
        return None
    total = money_text(exact_sum(Decimal(line.amount) for line in numbered), currency)
    return following(found, {"lines": numbered, "total": total}, {"content": found.version + 1})


def following(found: Invoice, changes: Mapping[str, Any], own: Mapping[str, Any]) -> Invoice:
    """The draft's next version; ``own``: changes of what it says of itself as a draft, None to leave one out."""
    draft = {name: value for name, value in {**draft_of(found), **own}.items() if value is not None}
    body = body_of(found).changed({"draft": draft})
    return replace(found, version=found.version + 1, body=body.text(), claim_id="", **changes)
