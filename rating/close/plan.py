"""What one run bills: due periods with their charges, and late usage of periods that were billed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rating.close.credits import Owned, Wallet, drawn, owned_grants
from rating.close.due import Due, PlanningError, billable, due_invoices, last_word
from rating.close.late import Late, LateUsage, Prior, adjustments, priors
from rating.close.lines import ChargeBook, Item, Need, Totals, build_invoice
from rating.close.reductions import PriorTerms, adjusted_terms, prior_terms
from rating.close.standing import Invoice, Standing
from rating.close.terms import NO_TERMS, Terms, terms_of
from schemas.catalog.state import NamespaceView
from schemas.checkpoints import Run


@dataclass(frozen=True, slots=True)
class Billing:
    """One invoice to write: its charges, and the earlier lines to rate again."""

    due: Due
    items: tuple[Item, ...]
    prior: tuple[Prior, ...] = ()
    terms: Terms = NO_TERMS
    prior_terms: tuple[PriorTerms, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """``billings`` in the order of their chains; ``problems``: sentences about subscriptions that wait. ``grants`` and ``drawn``: prepaid
    credits, and what invoices that stand have drawn on them."""

    billings: tuple[Billing, ...]
    problems: tuple[str, ...] = ()
    grants: tuple[Owned, ...] = ()
    drawn: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def ready_us(self) -> int:
        """The instant from which all of it could be billed."""
        return max(billing.due.ready_us for billing in self.billings)

    def needs(self) -> dict[Need, set[str]]:
        """Every total that is needed → the accounts for which."""
        needs: dict[Need, set[str]] = {}
        for billing in self.billings:
            for need in [item.need for item in billing.items] + [prior.need for prior in billing.prior]:
                if need is not None:
                    needs.setdefault(need, set()).add(billing.due.account_id)
        return needs


def make_plan(view: NamespaceView, standing: Standing, as_of_us: int, late: LateUsage) -> Plan:
    """All that is due at ``as_of_us``. Late usage comes on a subscription's next invoice, and on one of its own where the
    subscription has ended. A subscription that cannot be planned is a problem, and waits as a whole."""
    found, problems = due_invoices(view, standing, as_of_us)
    with_next = {due.subscription for due in found}
    failed: dict[str, str] = {}
    for entry in billable(view):
        if entry.code in late and entry.code not in with_next:
            try:
                if (last := last_word(view, entry, standing)) is not None:
                    found.append(last)
            except PlanningError as error:
                failed[entry.code] = f"subscription {entry.code}: {error}"
    book = ChargeBook(view)
    billings: list[Billing] = []
    ends: dict[str, list[int]] = {}
    for due in found:
        if due.subscription not in failed:
            try:
                before = ends.setdefault(due.subscription, [])
                came_late = () if before else late.get(due.subscription, ())
                billings.append(_billing(due, book, standing, came_late, before))
                before.append(due.end_us)
            except PlanningError as error:
                failed[due.subscription] = f"subscription {due.subscription}: {error}"
    grants = owned_grants(view)
    used = drawn(standing.invoices(view.namespace)) if grants else {}
    return Plan(tuple(billings), (*problems, *failed.values()), grants, used)


def _billing(due: Due, book: ChargeBook, standing: Standing, late: tuple[Late, ...], before: Iterable[int]) -> Billing:
    """``before``: ends of the subscription's periods that the same run bills before this one."""
    chain = standing.chain(due.namespace, due.subscription)
    prior = priors(chain, late, book) if late else ()
    adjusted = prior_terms(chain, (one.invoice_id for one in prior))
    if due.sequence:
        return Billing(due, (), prior, NO_TERMS, adjusted)
    items = book.items(due.plan, due.plan_version, due.start_us, due.end_us)
    ends = [invoice["period_end"] for invoice in chain if invoice["period_start"] < due.start_us]
    return Billing(due, items, prior, terms_of(due.plan, due.time_zone, due.end_us, [*ends, *before]), adjusted)


def build_invoices(plan: Plan, totals: Totals, run: Run) -> tuple[tuple[Invoice, ...], tuple[str, ...]]:
    """The Invoice records of ``plan``, and what cannot be rated. An invoice of adjustments alone needs one at least.

    A chain has no gaps: after one invoice that cannot be rated, the subscription's later periods wait, too.
    """
    invoices: list[Invoice] = []
    failed: dict[str, str] = {}
    wallet = Wallet(plan.grants, dict(plan.drawn))
    for billing in plan.billings:
        due = billing.due
        if due.subscription in failed:
            continue
        try:
            further = adjustments(billing.prior, totals, due.account_id, due.plan.currency)
            further += adjusted_terms(billing.prior_terms, further, due.plan.currency)
            if further or not due.sequence:
                invoices.append(build_invoice(due, billing.items, totals, run, further, billing.terms, wallet))
        except PlanningError as error:
            failed[due.subscription] = str(error)
    return tuple(invoices), tuple(failed.values())
