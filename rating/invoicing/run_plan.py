"""Plans what a run bills or drafts: periods with their charges, and late usage of billed periods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from rating.invoices.amounts.line_balances import (
    nothing_further,
    taken_back,
)
from rating.invoices.amounts.listed_values import listed
from rating.invoices.amounts.prepaid_credits import Owned, Wallet, drawn, owned_grants
from rating.invoices.amounts.reductions import (
    adjusted_terms,
)
from rating.invoices.draft_decisions import draft_of
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.build_invoice import Adjusting, build_invoice, lines_above_notes
from rating.invoicing.charges import ChargeBook, Totals
from rating.invoicing.due import Due, change_due, due_of, further_invoice_due
from rating.invoicing.invoice_plan import Billing, billings_of
from rating.invoicing.late.adjustments import adjustments
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.shared_plans import SharedPlans, SubscriptionPlan
from rating.subscriptions.shared_timelines import timelines
from rating.subscriptions.timeline import PlanningError, Timeline
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import (
    Invoice,
)
from schemas.settings import LISTED_VALUES
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """``billings`` in chain order; ``problems``: messages about subscriptions that cannot be planned. ``grants``
    and ``drawn``: prepaid credits, and what valid invoices drew on them. ``waiting``: number of ended periods that
    remain drafts; ``planned``: subscriptions for which a plan of drafts covers everything ended by ``as_of_us``.
    ``listed``: limit on listed dimension values per line."""

    billings: tuple[Billing, ...]
    problems: tuple[str, ...] = ()
    grants: tuple[Owned, ...] = ()
    drawn: Mapping[str, Decimal] = field(default_factory=dict)
    namespace: str = ""
    waiting: int = 0
    planned: frozenset[str] = frozenset()
    as_of_us: int = 0
    listed: int = LISTED_VALUES

    @property
    def ready_us(self) -> int:
        """The instant from which all of it can be billed."""
        return max(billing.due.ready_us for billing in self.billings)

    @property
    def voids(self) -> tuple[str, ...]:
        """Sorted ids of void invoices in the chains that it continues."""
        return tuple(sorted({name for billing in self.billings for name in billing.due.position.voids}))


Bills = Literal["due", "drafts", "ended"]
"""due: what is to be finalised; drafts: what has ended and is not, of subscriptions with nothing to finalise; ended:
both, whatever approves or holds it."""


def make_plan(
    view: NamespaceView, standing: StandingInvoices, as_of_us: int, late: LateBySubscription, bills: Bills = "due"
) -> RunPlan:
    """Plan everything due at ``as_of_us``. Late usage is billed on a subscription's next invoice, or on a separate
    one if it has ended. A subscription that cannot be planned is reported and left out as a whole."""
    problems: list[str] = []
    billings: list[Billing] = []
    planned: set[str] = set()
    waiting = 0
    book = ChargeBook(view, waits=True)
    shared = SharedPlans(standing)
    for line in timelines(view, problems):
        try:
            late_records = late.get(line.subscription, ())
            shares = bills != "drafts" and not late_records
            plan = shared.plan(line) if shares else None
            if plan is not None:
                waiting += plan.waiting
                billings.extend(plan.billings)
                planned.add(line.subscription)
                continue
            dues = ended_dues(line, standing, as_of_us)
            final = dues if bills == "ended" else _final(dues, standing, as_of_us)
            open_dues = dues[len(final) :]
            finished = billings_of(final, book, standing, late_records, line)
            # These are one only where there is something to adjust or to settle.
            alone = any(due.kind != "period" for due in open_dues)
            drafted = billings_of(open_dues, book, standing, late_records, line) if bills == "drafts" or alone else []
            of_line = SubscriptionPlan(tuple(finished), len(drafted) if alone else len(open_dues))
            waiting += of_line.waiting
            if bills == "drafts" and finished:
                continue  # those are billed first
            billings.extend(drafted if bills == "drafts" else finished)
            planned.add(line.subscription)
            if shares:
                shared.keep(line, dues, of_line)
        except (PlanningError, ValueError) as error:  # ValueError: dates beyond the calendar
            problems.append(f"subscription {line.subscription}: {error}")
    grants = owned_grants(view)
    used = drawn(standing.invoices(view.namespace)) if grants else {}
    return RunPlan(
        billings=tuple(billings), problems=tuple(problems), grants=grants, drawn=used, namespace=view.namespace,
        waiting=waiting, planned=frozenset(planned), as_of_us=as_of_us,
    )  # fmt: skip


def ended_dues(line: Timeline, standing: StandingInvoices, as_of_us: int) -> list[Due]:
    """The ended and unbilled periods of a subscription, including those within grace; else a change, else a last
    word."""
    dues = list(due_of(line, standing, as_of_us))
    if not dues and (change := change_due(line, standing, as_of_us)) is not None:
        dues = [change]
    if not dues and (last_due := further_invoice_due(line, standing)) is not None:
        dues = [last_due]
    chain = standing.chain(line.namespace, line.subscription)
    if dues and chain:
        dues[0] = dues[0].after_run(chain[-1].run_id)
    return dues


def _final(dues: Iterable[Due], standing: StandingInvoices, as_of_us: int) -> list[Due]:
    """The leading dues that may be finalised: grace is over, and no approval or release is needed."""
    final: list[Due] = []
    for due in dues:
        known = standing.draft(due.namespace, due.invoice_id)
        draft = draft_of(known) if known is not None else None
        if due.ready_us > as_of_us or due.plan.approval == "required" or (draft is not None and "held" in draft):
            break
        final.append(replace(due, holds=draft["holds"]) if draft is not None and "holds" in draft else due)
    return final


def build_invoices(plan: RunPlan, totals: Totals, run: Run) -> tuple[tuple[Invoice, ...], tuple[str, ...]]:
    """The Invoice records of ``plan``, and messages about what cannot be rated. An invoice with adjustments only is
    created if there are any.

    A chain has no gaps: if an invoice cannot be rated, the subscription's later periods wait as well.
    """
    invoices: list[Invoice] = []
    failed: dict[str, str] = {}
    wallet = Wallet(plan.grants, plan.drawn) if plan.grants else None
    for billing in plan.billings:
        due = billing.due
        if due.subscription in failed:
            continue
        try:
            invoice = invoice_of(billing, totals, run, wallet)
            if invoice is not None:
                invoices.append(listed(invoice, plan.listed))
        except PlanningError as error:
            failed[due.subscription] = str(error)
    return tuple(invoices), tuple(failed.values())


def invoice_of(billing: Billing, totals: Totals, run: Run, wallet: Wallet | None) -> Invoice | None:
    """The Invoice record; None if it would contain adjustments only and there are none. Raises PlanningError."""
    due = billing.due
    further = list(billing.credits)
    if billing.prior:
        further += adjustments(billing.prior, totals, due.account_id, due.plan.currency)
    further += adjusted_terms(billing.prior_terms, further, due.plan.currency)
    if due.kind == "further":
        taken_lines = taken_back(billing.note_credits, further, due.plan.currency)
        taken_lines += lines_above_notes([*further, *taken_lines], due, billing.agreed, billing.noted)
        if not further or nothing_further([*further, *taken_lines]):
            return None
    adjusting = Adjusting(
        lines=further,
        settled=() if due.kind == "further" else billing.credits,
        note_credits=billing.note_credits,
        drawn=billing.drawn,
        of_void=billing.of_void,
        noted=billing.noted,
        fees_of=billing.fees_of,
        interims=billing.interims,
        of_running=billing.of_running,
    )
    return build_invoice(due, billing.items, totals, run, agreed=billing.agreed, adjusting=adjusting, wallet=wallet)
