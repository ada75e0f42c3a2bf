"""Discounts and commitments of periods that are billed, with what they came to so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.invoices.amounts.billed_of_period import (
    CHARGED,
    COMMITMENT,
    NOTED,
    OF_PERIOD,
    REDUCING,
    Billed,
    add,
    billed_of,
    is_ahead,
    is_lump,
    key_of,
    reductions,
)
from rating.invoices.chain import periods_to_reissue
from rating.pricing.exact import exact_sum
from rating.pricing.priced_line import ZERO
from rating.subscriptions.period_terms import NO_TERMS, Terms, pinned_terms, pinned_terms_ahead
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
    LinePlan,
    body_of,
)
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class PriorTerms:
    """A billed period with its terms, and the amounts with all adjustments so far: ``charged`` by product,
    ``billed`` by key of discount or true-up. ``invoice_id``: the invoice that bills it; ``ahead``: the invoice that
    billed its fees in advance, for a period that never came to be."""

    invoice_id: str
    start_us: int
    end_us: int
    terms: Terms
    charged: tuple[tuple[str, Decimal], ...]
    billed: tuple[tuple[str, Decimal], ...]
    plan: LinePlan | None = None
    ahead: bool = False

    def changed_by(self, line: Line) -> bool:
        """Whether the line adjusts one of the period's charges."""
        later = line.period_start >= (self.start_us if self.ahead else self.end_us)
        return bool(line.adjusts == self.invoice_id and later == self.ahead)


def prior_terms(chain: Sequence[Invoice], invoice_ids: Iterable[str]) -> tuple[PriorTerms, ...]:
    """The periods billed by terms of ``invoice_ids``, valid invoices of the chain."""
    by_id = {invoice.invoice_id: invoice for invoice in chain}
    names = [name for name in dict.fromkeys(invoice_ids) if '"terms' in by_id[name].body]
    priors = [_prior(chain, by_id[name]) for name in names]
    return tuple(prior for prior in priors if prior.terms != NO_TERMS or prior.billed)


def prior_terms_ahead(chain: Sequence[Invoice], lines: Iterable[Line]) -> tuple[PriorTerms, ...]:
    """The periods billed by terms for which ``lines`` adjust fees billed in advance."""
    by_id = {invoice.invoice_id: invoice for invoice in chain}
    spans: dict[str, int] = {}
    for line in lines:
        spans[line.adjusts] = max(spans.get(line.adjusts, 0), line.period_end)
    priors: list[PriorTerms] = []
    for name, end_us in spans.items():
        invoice = by_id[name]
        billed = billed_of(chain, invoice.period_end)
        terms = Terms(pinned_terms(invoice).discounts) if is_lump(invoice) else pinned_terms_ahead(invoice)
        if terms != NO_TERMS or billed.reduced:
            priors.append(
                PriorTerms(name, invoice.period_end, end_us, terms, billed.charged, billed.reduced, ahead=True)
            )
    return tuple(priors)


def _prior(chain: Sequence[Invoice], invoice: Invoice) -> PriorTerms:
    terms = pinned_terms(invoice)
    start_us, end_us = invoice.period_start, invoice.period_end
    billed = (
        _lump(chain, invoice) if is_lump(invoice) else _with_fees_to_come(billed_of(chain, start_us), chain, invoice)
    )
    plan = LinePlan(invoice.plan, invoice.plan_version)
    return PriorTerms(invoice.invoice_id, start_us, end_us, terms, billed.charged, billed.reduced, plan)


def _with_fees_to_come(billed: Billed, chain: Sequence[Invoice], invoice: Invoice) -> Billed:
    """Include fees in advance whose invoice is void: they will be billed again, and the period's invoice and its
    discounts rely on them. Without them the period would seem to be below its commitment, or discounted too much."""
    start_us = invoice.period_start
    fees = [
        (line.product, Decimal(line.amount))
        for void in (periods_to_reissue(chain) if any(invoice.state == VOID for invoice in chain) else ())
        if void.period_end == start_us
        for line in void.lines
        if line.kind == "flat" and is_ahead(line, void)
    ]
    if not fees:
        return billed
    charged: dict[str, Decimal] = {}
    for product, amount in billed.also(fees):
        charged[product] = exact_sum((charged.get(product, ZERO), amount))
    discounts = Terms(pinned_terms(invoice).discounts)
    reduced_already = [
        (key_of(reduction), reduction.amount) for reduction in reductions(charged.items(), discounts, invoice.currency)
    ]
    reduced_already += [(key, amount) for key, amount in billed.reduced if key == COMMITMENT]
    return replace(billed, charged=tuple(charged.items()), reduced=tuple(reduced_already))


def _lump(chain: Sequence[Invoice], invoice: Invoice) -> Billed:
    """What was billed by the terms of an older release's invoice: all its charges and what adjusts them."""
    charged: dict[str, Decimal] = {}
    billed: dict[str, Decimal] = {}
    for standing in chain:
        if standing.state == VOID:
            continue
        by_period = body_of(standing).terms_of == OF_PERIOD
        for line in standing.lines:
            is_own = standing is invoice and line.kind in CHARGED | REDUCING
            adjusts = line.adjusts == invoice.invoice_id and not (by_period and is_ahead(line, invoice))
            if (is_own or adjusts) and line.kind != "credit" and not line.charge.startswith(NOTED):
                add(billed if ":" in line.charge else charged, line)
    return Billed(tuple(charged.items()), tuple(billed.items()))
