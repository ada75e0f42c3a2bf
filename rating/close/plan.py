"""What one run bills, or makes drafts of: periods with their charges, and late usage of periods that were billed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from rating.close.advance import advance_again, paid_in_advance, settle
from rating.close.charges import ChargeBook, Item, Need, Totals
from rating.close.credits import Owned, Wallet, drawn, owned_grants
from rating.close.due import Due, due_of, last_word
from rating.close.late import Late, LateUsage, Prior, adjustments, priors
from rating.close.lines import build_invoice
from rating.close.reductions import PriorTerms, adjusted_terms, prior_terms
from rating.close.spans import Part
from rating.close.standing import Invoice, Line, Standing
from rating.close.terms import NO_TERMS, Terms, terms_of
from rating.close.timeline import PlanningError, Timeline, timelines
from rating.pricing.exact import exact_sum, share
from schemas.catalog.models import Plan as CatalogPlan
from schemas.catalog.state import NamespaceView
from schemas.checkpoints import Run
from schemas.invoices import body_of


@dataclass(frozen=True, slots=True)
class Billing:
    """One invoice to write: its charges, the earlier lines to rate again, and credits of fees billed in advance."""

    due: Due
    items: tuple[Item, ...]
    prior: tuple[Prior, ...] = ()
    credits: tuple[Line, ...] = ()
    terms: Terms = NO_TERMS
    prior_terms: tuple[PriorTerms, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing that an invoice of adjustments alone could hold."""
        return self.due.alone and not self.prior and not self.credits


@dataclass(frozen=True, slots=True)
class Plan:
    """``billings`` in the order of their chains; ``problems``: sentences about subscriptions that wait. ``grants`` and ``drawn``: prepaid
    credits, and what invoices that stand have drawn on them. ``waiting``: how many periods have ended and are drafts as yet;
    ``planned``: subscriptions of which a plan of drafts knows all that has ended by ``as_of_us``.
    """

    billings: tuple[Billing, ...]
    problems: tuple[str, ...] = ()
    grants: tuple[Owned, ...] = ()
    drawn: Mapping[str, Decimal] = field(default_factory=dict)
    namespace: str = ""
    waiting: int = 0
    planned: frozenset[str] = frozenset()
    as_of_us: int = 0

    @property
    def ready_us(self) -> int:
        """The instant from which all of it could be billed."""
        return max(billing.due.ready_us for billing in self.billings)

    @property
    def voids(self) -> tuple[str, ...]:
        """Void invoices of the chains that it goes on with, sorted."""
        return tuple(sorted({name for billing in self.billings for name in billing.due.voids}))

    def needs(self) -> dict[Need, set[str]]:
        """Every total that is needed → the accounts for which."""
        needs: dict[Need, set[str]] = {}
        for billing in self.billings:
            for need in [item.need for item in billing.items] + [prior.need for prior in billing.prior]:
                if need is not None:
                    needs.setdefault(need, set()).add(billing.due.account_id)
        return needs


Bills = Literal["due", "drafts", "ended"]
"""due: what is to be finalised; drafts: what has ended and is not, of subscriptions with nothing to finalise; ended: both, whatever
approves or holds it."""


def make_plan(view: NamespaceView, standing: Standing, as_of_us: int, late: LateUsage, bills: Bills = "due") -> Plan:
    """All that is due at ``as_of_us``. Late usage comes on a subscription's next invoice, and on one of its own where the
    subscription has ended. A subscription that cannot be planned is a problem, and waits as a whole."""
    problems: list[str] = []
    billings: list[Billing] = []
    planned: set[str] = set()
    waiting = 0
    book = ChargeBook(view)
    for line in timelines(view, problems):
        try:
            found = list(due_of(line, standing, as_of_us, ended=True))
            if not found and (last := last_word(line, standing)) is not None:
                found = [last]
            chain = standing.chain(line.namespace, line.subscription)
            if found and chain:
                found[0] = replace(found[0], after=chain[-1]["run_id"])
            final = found if bills == "ended" else _final(found, standing, as_of_us)
            rest = found[len(final) :]
            some = _billings(final, book, standing, late, line)
            alone = any(due.alone for due in rest)  # it is one only where there is something to adjust
            drafted = _billings(rest, book, standing, late, line) if bills == "drafts" or alone else []
            waiting += len(drafted) if alone else len(rest)
            if bills == "drafts" and some:
                continue  # these come first
            billings.extend(drafted if bills == "drafts" else some)
            planned.add(line.subscription)
        except (PlanningError, ValueError) as error:  # ValueError: dates beyond the calendar
            problems.append(f"subscription {line.subscription}: {error}")
    grants = owned_grants(view)
    used = drawn(standing.invoices(view.namespace)) if grants else {}
    return Plan(tuple(billings), tuple(problems), grants, used, view.namespace, waiting, frozenset(planned), as_of_us)


def _final(found: Iterable[Due], standing: Standing, as_of_us: int) -> list[Due]:
    """Those, from the first on, that may be finalised: grace is over, and nobody has to approve or release it."""
    final: list[Due] = []
    for due in found:
        draft = standing.draft(due.namespace, due.invoice_id)
        own = body_of(draft)["draft"] if draft is not None else {}
        if due.ready_us > as_of_us or due.plan.approval == "required" or "held" in own:
            break
        final.append(replace(due, holds=own["holds"]) if "holds" in own else due)
    return final


def _billings(dues: list[Due], book: ChargeBook, standing: Standing, late: LateUsage, line: Timeline) -> list[Billing]:
    """The first of them follows what stands: it takes what came late, and settles what was billed in advance."""
    found = [
        _billing(due, book, standing, late.get(due.subscription, ()), dues[:number], line)
        for number, due in enumerate(dues)
    ]
    return [one for one in found if not one.empty]


def _billing(
    due: Due, book: ChargeBook, standing: Standing, late: tuple[Late, ...], before: list[Due], line: Timeline
) -> Billing:
    """``before``: the subscription's invoices that the same run bills before this one."""
    chain = standing.chain(due.namespace, due.subscription)
    prior = priors(chain, late, book, line) if chain and not before else ()
    in_advance = () if due.advanced else paid_in_advance(chain, due.end_us if due.alone else due.start_us)
    owed = () if due.advanced else book.items(due.parts, in_advance=True)
    fees, credits_due = settle(owed, in_advance, due.plan.currency)
    adjusted = prior_terms(chain, [*(one.invoice_id for one in prior), *(credit["adjusts"] for credit in credits_due)])
    ahead = book.items(due.advance, in_advance=True)
    if due.again and (void := next((one for one in chain if one["invoice_id"] == due.reissues), None)) is not None:
        ahead = advance_again(void)
    items = (*book.items(due.parts), *fees, *ahead)
    book.wait_for_backfills(items)
    return Billing(due, items, prior, credits_due, NO_TERMS if due.alone else _terms(due, chain, before), adjusted)


def _terms(due: Due, chain: Iterable[Invoice], before: Iterable[Due]) -> Terms:
    spans = [(one["period_start"], one["period_end"]) for one in chain] + [(one.start_us, one.end_us) for one in before]
    return period_terms(due.plan, due.time_zone, due.start_us, due.moment_us, due.parts, spans)


def period_terms(
    plan: CatalogPlan, zone: str, start_us: int, moment_us: int, parts: Iterable[Part], spans: Iterable[tuple[int, int]]
) -> Terms:
    """Those of the period's last moment; ``spans``: all periods of the subscription that are billed, or are before this one. A
    commitment is prorated as minimums are, and an invoice at a start has none."""
    earlier = [end for start, end in spans if start < end and start < start_us]
    terms = terms_of(plan, zone, moment_us + 1, earlier)
    shares = [
        share(part.plan.minimum_commitment, Decimal(part.end_us - part.start_us), Decimal(part.whole_us))
        for part in parts
        if part.plan.minimum_commitment is not None and not part.trial
    ]
    return replace(terms, minimum_commitment=exact_sum(shares) if shares else None)


def build_invoices(plan: Plan, totals: Totals, run: Run) -> tuple[tuple[Invoice, ...], tuple[str, ...]]:
    """The Invoice records of ``plan``, and what cannot be rated. An invoice of adjustments alone needs one at least.

    A chain has no gaps: after one invoice that cannot be rated, the subscription's later periods wait, too.
    """
    invoices: list[Invoice] = []
    failed: dict[str, str] = {}
    wallet = Wallet(plan.grants, plan.drawn)
    for billing in plan.billings:
        due = billing.due
        if due.subscription in failed:
            continue
        try:
            invoice = invoice_of(billing, totals, run, wallet)
            if invoice is not None:
                invoices.append(invoice)
        except PlanningError as error:
            failed[due.subscription] = str(error)
    return tuple(invoices), tuple(failed.values())


def invoice_of(billing: Billing, totals: Totals, run: Run, wallet: Wallet) -> Invoice | None:
    """The Invoice record; None where it would hold adjustments alone and there are none. Raises PlanningError."""
    due = billing.due
    late = adjustments(billing.prior, totals, due.account_id, due.plan.currency)
    further = [*billing.credits, *late]
    further += adjusted_terms(billing.prior_terms, further, due.plan.currency)
    if due.alone and not further:
        return None
    return build_invoice(due, billing.items, totals, run, further, billing.terms, wallet)
