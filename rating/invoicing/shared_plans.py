"""Plans of subscriptions that differ in code, account and the ids of their chain alone: made once, and copied with
these. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from rating.invoices.amounts.billed_of_period import NOTHING
from rating.invoices.amounts.line_balances import NOTHING_NOTED
from rating.invoices.draft_decisions import draft_of
from rating.invoices.ledger import StandingInvoices
from rating.invoices.snapshot.quiet import is_quiet
from rating.invoicing.due import Due
from rating.invoicing.invoice_plan import Billing
from rating.subscriptions.timeline import Timeline
from schemas.ledgers.invoice_record import Invoice
from schemas.values.record_copy import replace

_MOST: Final = 1000

_Key = tuple[int, str, int, int]


class SubscriptionPlan(Struct, frozen=True):
    """What is billed of one subscription: ``billings``; number of ended periods that remain drafts."""

    billings: tuple[Billing, ...]
    waiting: int


class SharedPlans:
    """Plans by one catalog, state and instant. One is shared by subscriptions without late usage whose timelines share
    their segments (``shared_timelines``), and whose chains have nothing yet, or one quiet invoice of the same
    period."""

    def __init__(self, standing: StandingInvoices) -> None:
        self._standing = standing
        self._plans: dict[_Key, tuple[Timeline, SubscriptionPlan]] = {}

    def plan(self, line: Timeline) -> SubscriptionPlan | None:
        """The plan of ``line``, by that of another one; None where it has to be made."""
        chain = self._standing.chain(line.namespace, line.subscription)
        entry = self._plans.get(_key(line, chain))
        if entry is None or (chain and not is_quiet(chain[0])):
            return None
        plan = entry[1]
        billings = tuple(_copies(plan.billings, line, chain))
        if any(_decided(self._standing, billing.due) for billing in billings):
            return None
        return SubscriptionPlan(billings, plan.waiting)

    def keep(self, line: Timeline, dues: Sequence[Due], plan: SubscriptionPlan) -> None:
        """Remember the plan of ``line``, made of ``dues``, if others can share it."""
        chain = self._standing.chain(line.namespace, line.subscription)
        if len(chain) > 1 or (chain and not is_quiet(chain[0])):
            return
        if any(due.kind != "period" or due.position.voids or _decided(self._standing, due) for due in dues):
            return
        if all(map(_is_plain, plan.billings)):
            if len(self._plans) >= _MOST:
                self._plans.clear()
            self._plans[_key(line, chain)] = line, plan  # the line, so that the segments' id stays theirs


def _key(line: Timeline, chain: Sequence[Invoice]) -> _Key:
    if len(chain) != 1:
        return id(line.segments), line.time_zone, -len(chain), 0
    return id(line.segments), line.time_zone, chain[0].period_start, chain[0].period_end


def _is_plain(billing: Billing) -> bool:
    """Whether it depends on its chain by nothing but the last invoice's period, and names no other than that."""
    due, agreed = billing.due, billing.agreed
    adjusts = billing.prior or billing.credits or billing.prior_terms or billing.drawn or billing.of_void
    names = billing.noted or billing.fees_of or billing.interims or billing.of_running
    if adjusts or names or billing.note_credits != NOTHING_NOTED:
        return False
    return due.reissue is None and not due.holds and agreed.before == agreed.ahead_before == NOTHING


def _copies(billings: Sequence[Billing], line: Timeline, chain: Sequence[Invoice]) -> list[Billing]:
    copies: list[Billing] = []
    predecessor, after = (chain[0].invoice_id, chain[0].run_id) if chain else ("", "")
    for billing in billings:
        position = billing.due.position
        if predecessor:
            position = replace(position, predecessor=predecessor, after=after)
        due = replace(billing.due, subscription=line.subscription, account_id=line.account_id, position=position)
        copies.append(replace(billing, due=due))
        predecessor, after = due.invoice_id, ""
    return copies


def _decided(standing: StandingInvoices, due: Due) -> bool:
    """Whether somebody has held the invoice's draft, released or not."""
    known = standing.draft(due.namespace, due.invoice_id)
    if known is None:
        return False
    draft = draft_of(known)
    return "held" in draft or "holds" in draft
