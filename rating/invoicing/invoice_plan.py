"""The plan of one invoice: its charges, earlier lines to rate again, terms, what was credited before. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, field

from rating.invoices.amounts.billed_of_period import NOTHING, Billed, billed_of, key_of, reductions
from rating.invoices.amounts.credited_in_all import beside, carriers, standing_with_notes
from rating.invoices.amounts.drawings import credited_of_void, drawn_on
from rating.invoices.amounts.line_balances import (
    NOTHING_NOTED,
    ChainCredits,
    credits_of_chain,
)
from rating.invoices.amounts.prepaid.given_back import DrawnOn
from rating.invoices.amounts.prior_terms import PriorTerms, prior_terms, prior_terms_ahead
from rating.invoices.amounts.reductions import NO_AGREEMENT, Agreed
from rating.invoices.chain import interims_of, last_order
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.advance import advance_again, paid_in_advance, settle, settled_interims
from rating.invoicing.charges import ChargeBook, ResolvedCharge, metered
from rating.invoicing.due import Due
from rating.invoicing.late.late_records import Late
from rating.invoicing.late.late_usage import Prior, priors
from rating.invoicing.need import Need
from rating.pricing import PriceError, rate
from rating.pricing.exact import exact_sum, share
from rating.subscriptions.billing_periods import PeriodPart
from rating.subscriptions.period_terms import NO_TERMS, Terms, TermsOf, pinned_terms, terms_billed, terms_of, uses
from rating.subscriptions.timeline import PlanningError, Timeline
from schemas.catalog.models import Plan as CatalogPlan
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
)
from schemas.values.record_copy import replace


class Billing(Struct, frozen=True, kw_only=True):
    """An invoice to create: its charges, the earlier lines to re-rate, and credits of fees billed in advance."""

    due: Due
    items: tuple[ResolvedCharge, ...]
    prior: tuple[Prior, ...] = ()
    credits: tuple[Line, ...] = ()
    agreed: Agreed = NO_AGREEMENT
    prior_terms: tuple[PriorTerms, ...] = ()
    note_credits: ChainCredits = NOTHING_NOTED
    drawn: tuple[DrawnOn, ...] = ()
    of_void: Mapping[str, Decimal] = field(default_factory=dict)
    noted: tuple[Invoice, ...] = ()
    fees_of: tuple[Invoice, ...] = ()
    interims: tuple[str, ...] = ()
    of_running: str = ""

    @property
    def account_id(self) -> str:
        """Whose usage it bills."""
        return self.due.account_id

    @property
    def needs(self) -> list[Need | None]:
        """The totals that its charges and its adjustments are made of; None for one of no usage."""
        return [item.need for item in self.items] + [prior.need for prior in self.prior]

    @property
    def empty(self) -> bool:
        """Whether an invoice with adjustments only, or for a change, would have no content."""
        return self.due.kind != "period" and not (self.credits or (self.items if self.due.of_running else self.prior))

    @property
    def in_force(self) -> TermsOf:
        """The discounts of its period."""
        codes = frozenset(discount.code for discount in self.agreed.terms.discounts)
        return TermsOf(self.due.start_us, self.due.end_us, codes)

    def billed_ahead(self) -> Billed:
        """What it bills for the following period. Raises PlanningError."""
        items = [item for item in self.items if item.start_us >= self.due.end_us]
        currency = self.due.plan.currency
        try:
            charged = tuple(
                (item.product.code, rate(item.price, Decimal(1), currency=currency).amount) for item in items
            )
        except PriceError as error:
            raise PlanningError(f"subscription {self.due.subscription}: {error}") from None
        reduced = tuple(
            (key_of(reduction), reduction.amount) for reduction in reductions(charged, self.agreed.ahead, currency)
        )
        return Billed(charged, reduced, self.due.invoice_id)


def billings_of(
    dues: Iterable[Due],
    book: ChargeBook,
    standing: StandingInvoices,
    late: tuple[Late, ...] = (),
    line: Timeline | None = None,
) -> list[Billing]:
    """Plan what is due of one subscription, in chain order. The first invoice continues the valid chain: it includes
    late usage and settles what was billed in advance. Raises PlanningError."""
    billings: list[Billing] = []
    for due in dues:
        chain = standing.chain(due.namespace, due.subscription)
        billings.append(billing_of(due, book, chain, late, billings, line))
    return [billing for billing in billings if not billing.empty]


def billing_of(
    due: Due,
    book: ChargeBook,
    chain: list[Invoice],
    late: tuple[Late, ...] = (),
    billed_before: Sequence[Billing] = (),
    line: Timeline | None = None,
) -> Billing:
    """Plan one invoice. ``billed_before``: earlier invoices of the subscription in the same run; ``line``: timeline
    in which prices are searched for usage billed without one. Raises PlanningError."""
    prior = priors(chain, late, book, line) if chain and not billed_before else ()
    noted = standing_with_notes(chain)
    adjusted_ids = [adjusted_prior.invoice_id for adjusted_prior in prior]
    adjusted, of_void = prior_terms(chain, adjusted_ids), credited_of_void(chain, set(adjusted_ids))
    if due.of_running:
        taken_off: tuple[Line, ...] = ()
        of_running = ""
        if due.kind == "change":
            of_running = next((interim.invoice_id for interim in reversed(interims_of(chain, due.start_us))), "")
            paid = paid_in_advance(chain, due.start_us)
            fees, credits_due = settle(book.items(due.advance, in_advance=True), paid, due.plan.currency)
        else:
            taken_off = settled_interims(chain, due.start_us)
            fees, credits_due = metered(book.items(due.advance)), taken_off
        at_change = _agreed_at_change(due, chain)
        drawing = {of_running, *carriers(chain, due.start_us)} if of_running else set[str]()
        note_credits, drawn_before = _credited_before(due, chain, noted, prior, credits_due, at_change, drawing)
        return Billing(
            due=due, items=fees, prior=prior, credits=credits_due, agreed=at_change,
            prior_terms=adjusted, note_credits=note_credits, drawn=drawn_before, noted=noted,
            of_void=of_void, fees_of=_fees_of(at_change, chain, due.start_us),
            interims=_interim_names(chain, due.start_us, taken_off),
            of_running=of_running,
        )  # fmt: skip
    settled_us = due.end_us if due.kind == "further" else due.start_us
    in_advance = () if due.advanced else paid_in_advance(chain, settled_us)
    owed = () if due.advanced else book.items(due.parts, in_advance=True)
    fees, credits_due = settle(owed, in_advance, due.plan.currency)
    taken_off = settled_interims(chain, settled_us)
    credits_due += taken_off
    if due.kind == "further":
        adjusted += prior_terms_ahead(chain, credits_due)
    ahead = book.items(due.advance, in_advance=True)
    if due.reissue is not None and due.reissue.keeps_fees:
        void = next((invoice for invoice in chain if invoice.invoice_id == due.reissue.invoice_id), None)
        ahead = advance_again(void) if void is not None else ahead
    items = (*book.items(due.parts), *fees, *ahead)
    agreed = NO_AGREEMENT if due.kind == "further" else _agreed(due, chain, billed_before, ahead)
    note_credits, drawn_before = _credited_before(due, chain, noted, prior, credits_due, agreed)
    return Billing(
        due=due, items=items, prior=prior, credits=credits_due, agreed=agreed,
        prior_terms=adjusted, note_credits=note_credits, drawn=drawn_before, noted=noted,
        of_void=of_void, fees_of=_fees_of(agreed, chain, due.start_us),
        interims=_interim_names(chain, settled_us, taken_off),
    )  # fmt: skip


def _interim_names(chain: Iterable[Invoice], start_us: int, taken_off: Iterable[Line]) -> tuple[str, ...]:
    """The interim invoices of the period, those last whose charges are taken off; none where nothing is."""
    names = dict.fromkeys(line.adjusts for line in taken_off)
    others = [interim.invoice_id for interim in interims_of(chain, start_us) if interim.invoice_id not in names]
    return (*others, *names) if names else ()


def _credited_before(
    due: Due,
    chain: list[Invoice],
    noted: Sequence[Invoice],
    prior: Iterable[Prior],
    settling: Iterable[Line],
    agreed: Agreed,
    drawing: Collection[str] = (),
) -> tuple[ChainCredits, tuple[DrawnOn, ...]]:
    """For the invoices to adjust: what credit notes credited, and what prepaid credits paid. The latter also
    covers the invoice that billed the period's fees in advance, since discounts may lower it, and ``drawing``."""
    names = {*(adjusted_prior.invoice_id for adjusted_prior in prior), *(line.adjusts for line in settling)}
    paid = names | ({agreed.before.carrier, agreed.ahead_before.carrier} - {""})
    if noted:
        names |= beside(noted, paid)
    if noted and (due.of_running or agreed.terms != NO_TERMS):
        names |= carriers(noted, due.start_us)  # its discounts are of their fees, too
    note_credits, order = credits_of_chain(chain, names) if names else NOTHING_NOTED, last_order(chain)
    paid |= set(drawing)
    return replace(note_credits, order=order) if order else note_credits, drawn_on(chain, paid) if paid else ()


def _fees_of(agreed: Agreed, chain: Sequence[Invoice], start_us: int) -> tuple[Invoice, ...]:
    """The invoices that stand and billed fees in advance of the period from ``start_us`` on, for which ``agreed`` is,
    with those that adjust them or are of the period."""
    if not (agreed.before.carrier or agreed.ahead_before.carrier):
        return ()
    names = carriers(chain, start_us)
    return tuple(
        invoice
        for invoice in chain
        if invoice.state != VOID
        and (
            invoice.invoice_id in names
            or invoice.period_start == start_us
            or any(line.adjusts in names for line in invoice.lines)
        )
    )


def _agreed(
    due: Due, chain: list[Invoice], billed_before: Sequence[Billing], ahead: tuple[ResolvedCharge, ...]
) -> Agreed:
    """The terms of a period, and of the one whose fees are billed in advance with it, each as in force at its own
    last moment."""
    plans = [due.plan, *(part.plan for part in due.advance)]
    counted = any(discount.periods is not None for plan in plans for discount in plan.discounts)
    periods = [*terms_billed(chain), *(billing.in_force for billing in billed_before)] if counted else []
    terms = period_terms(due.plan, due.time_zone, due.moment_us, due.parts, uses(periods, due.start_us))
    preceding = billed_before[-1] if billed_before and billed_before[-1].due.end_us == due.start_us else None
    billed = preceding.billed_ahead() if preceding is not None and due.advanced else NOTHING
    if not due.advanced and (terms != NO_TERMS or _has_terms(chain, due.start_us)):
        billed = billed_of(chain, due.start_us)
    if due.start_us == due.end_us:
        terms, billed = NO_TERMS, NOTHING  # the invoice has no period of its own
    if not ahead:
        return Agreed(terms, before=billed)
    following = next(
        (
            invoice
            for invoice in chain
            if invoice.period_start == due.end_us < invoice.period_end and invoice.state != VOID
        ),
        None,
    )
    if due.reissue is not None and due.reissue.keeps_fees and following is not None:
        # The invoice of that period counts on these discounts.
        carried = replace(billed_of(chain, due.end_us).discounted, carrier=following.invoice_id)
        return Agreed(terms, Terms(pinned_terms(following).discounts), billed, carried)
    terms_of_period = TermsOf(due.start_us, due.end_us, frozenset(discount.code for discount in terms.discounts))
    plan, moment_us = due.advance[-1].plan, due.advance[-1].end_us - 1
    later = terms_of(plan, due.time_zone, moment_us + 1, uses([*periods, terms_of_period], due.end_us))
    return Agreed(terms, Terms(later.discounts), billed)


def _agreed_at_change(due: Due, chain: list[Invoice]) -> Agreed:
    """The discounts of the running period after the change, and what was billed of it so far."""
    plan = due.advance[-1].plan
    counted = any(discount.periods is not None for discount in plan.discounts)
    used = uses(terms_billed(chain) if counted else (), due.start_us)
    later = terms_of(plan, due.time_zone, due.advance[-1].end_us, used)
    return Agreed(ahead=Terms(later.discounts), ahead_before=billed_of(chain, due.start_us).discounted)


def _has_terms(chain: Iterable[Invoice], until_us: int) -> bool:
    return any(invoice.period_end == until_us and '"terms' in invoice.body for invoice in chain)


def period_terms(
    plan: CatalogPlan, zone: str, moment_us: int, parts: Iterable[PeriodPart], used: Mapping[str, int]
) -> Terms:
    """The terms in force at the period's last moment; ``used``: discount → number of earlier periods in which it
    was in force. A commitment is prorated like minimums; an invoice at a start has none."""
    terms = terms_of(plan, zone, moment_us + 1, used)
    shares = [
        share(part.plan.minimum_commitment, Decimal(part.end_us - part.start_us), Decimal(part.whole_us))
        for part in parts
        if part.plan.minimum_commitment is not None and not part.trial
    ]
    return replace(terms, minimum_commitment=exact_sum(shares) if shares else None)
