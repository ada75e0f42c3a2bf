"""Lines after an invoice's charges (discounts, the true-up to a commitment, prepaid credits), and changes of
discounts and true-ups already billed, due to late usage or the settlement of fees in advance. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from rating.invoices.amounts.billed_of_period import (
    COMMITMENT,
    NOTHING,
    Billed,
    key_of,
    reductions,
)
from rating.invoices.amounts.prepaid.product_draws import Restrictions, amounts_of, by_product
from rating.invoices.amounts.prior_terms import PriorTerms
from rating.invoices.amounts.recurrences import date_of, grant_of
from rating.pricing import money_text
from rating.pricing.exact import exactly
from rating.pricing.priced_line import ZERO, Step
from rating.pricing.reduction_lines import Balance, ReductionKind, ReductionLine, credit_lines
from rating.subscriptions.period_terms import NO_TERMS, Terms
from schemas.ledgers.invoice_record import (
    Line,
)
from schemas.prices import plain
from schemas.values.instants import rfc3339
from schemas.values.record_copy import replace


class Agreed(Struct, frozen=True):
    """The terms of an invoice's period, and the discounts (``ahead``) of the next one, whose fees it bills in
    advance; ``before`` and ``ahead_before``: what valid invoices, or earlier ones of the same run, have billed of
    either period."""

    terms: Terms = NO_TERMS
    ahead: Terms = NO_TERMS
    before: Billed = NOTHING
    ahead_before: Billed = NOTHING


NO_AGREEMENT: Final = Agreed()


def reduced(
    charged: Iterable[tuple[str, Decimal]],
    terms: Terms,
    currency: str,
    start_us: int,
    end_us: int,
    billed: Billed = NOTHING,
) -> list[Line]:
    """The lines that ``terms`` add to an invoice for a period with these charges, given what was ``billed`` of the
    period: the amounts for the whole period minus what was deducted in advance."""
    amounts = billed.also(charged)
    if not amounts:
        return []
    of_period = reductions(amounts, terms, currency)
    reduced_already = dict(billed.reduced)
    lines: list[Line] = []
    carried = PriorTerms(billed.carrier, start_us, end_us, terms, (), ())
    for reduction in of_period:
        already = reduced_already.pop(key_of(reduction), ZERO)
        lines += _rest(reduction, already, carried, currency)
    for key, already in reduced_already.items():
        lines += _rest(_none(key), already, carried, currency)
    return lines


def _rest(reduction: ReductionLine, already: Decimal, carried: PriorTerms, currency: str) -> list[Line]:
    """What is left to bill of a discount or true-up of which ``already`` was billed; if that is too much, an
    adjustment of the invoice that ``carried`` it."""
    if not already:
        return [line_of(reduction, carried.terms, currency, carried.start_us, carried.end_us)]
    with exactly():
        difference = reduction.amount - already
    if not difference:
        return []
    if (difference > 0) == (reduction.kind == "discount"):
        return list(
            _adjusted(carried, key_of(reduction), reduction, already, currency, "adjusted for what its period came to")
        )
    text = f"{plain(already)} of it billed in advance on {carried.invoice_id}"
    with exactly():
        exact = reduction.step.amount - already
    left = replace(reduction, amount=difference)
    line = line_of(left, carried.terms, currency, carried.start_us, carried.end_us)
    steps = [reduction.step.as_json(), Step("in_advance", -already, text).as_json()]
    shown = json.dumps(steps, ensure_ascii=False)
    return [replace(line, unrounded=plain(exact), steps=shown, note=text)]


def paid(
    due: Decimal, balances: Sequence[Balance], currency: str, start_us: int, end_us: int, lines: Iterable[Line]
) -> list[Line]:
    """The lines by which prepaid credits pay ``due`` of ``lines``."""
    products = {balance.code: balance.products for balance in balances}
    charged = by_product(amounts_of(lines), currency) if any(products.values()) else []
    return [
        _line(
            credit_line,
            f"Prepaid credit {credit_line.code}",
            _grant_term(credit_line.code, products[credit_line.code]),
            currency,
            start_us,
            end_us,
        )
        for credit_line in credit_lines(due, balances, charged)
    ]


def given_back(
    parts: Iterable[tuple[str, str, Decimal]],
    currency: str,
    start_us: int,
    end_us: int,
    restrictions: Restrictions | None = None,
) -> list[Line]:
    """The lines that restore prepaid credits, given (adjusted invoice, charge of its credit line, amount).
    ``restrictions``: where it comes back because lines of the grants' products fell, which these lines pin."""
    lines: list[Line] = []
    for name, charge, amount in parts:
        code = charge.partition(":")[2]
        text = f"{plain(amount)} that it paid of {name} are credited, and come back to it"
        reduction = ReductionLine("credit", code, amount, Step("credit", amount, text))
        term = _grant_term(code, (restrictions or {}).get(charge, ()))
        line = _line(reduction, f"Prepaid credit {code}, given back", term, currency, start_us, end_us)
        lines.append(replace(line, note=text, adjusts=name))
    return lines


def _grant_term(code: str, products: Sequence[str] = ()) -> dict[str, Any]:
    """What a credit line pins of the grant that it draws on."""
    date = date_of(code)
    term: dict[str, Any] = {"credit_grant": grant_of(code)} | ({"recurrence": date} if date else {})
    return term | ({"products": list(products)} if products else {})


def line_of(reduction: ReductionLine, terms: Terms, currency: str, start_us: int, end_us: int) -> Line:
    """A discount or true-up as a line; ``price`` contains the pinned term."""
    if reduction.kind == "commitment":
        minimum = plain(terms.minimum_commitment or ZERO)
        return _line(
            reduction, "True-up to the minimum commitment", {"minimum_commitment": minimum}, currency, start_us, end_us
        )
    discount = next((discount for discount in terms.discounts if discount.code == reduction.code), None)
    if discount is None:  # it turned out not to be in force for the period
        return _line(reduction, f"Discount {reduction.code}", {"code": reduction.code}, currency, start_us, end_us)
    line = _line(
        reduction,
        discount.name or f"Discount {reduction.code}",
        discount.model_dump(mode="json", exclude_none=True),
        currency,
        start_us,
        end_us,
    )
    return replace(line, product=discount.product or "")


def _line(
    reduction: ReductionLine, description: str, pinned: Mapping[str, Any], currency: str, start_us: int, end_us: int
) -> Line:
    return Line(
        kind=reduction.kind, charge=key_of(reduction), product="", description=description, period_start=start_us,
        period_end=end_us,
        price=json.dumps(pinned, ensure_ascii=False, sort_keys=True),
        amount=money_text(reduction.amount, currency), unrounded=plain(reduction.step.amount),
        steps=json.dumps([reduction.step.as_json()], ensure_ascii=False),
    )  # fmt: skip


def adjusted_terms(prior: Iterable[PriorTerms], adjustments: Sequence[Line], currency: str) -> list[Line]:
    """The changes of discounts and true-ups due to ``adjustments`` of earlier charges: a line for each difference."""
    lines: list[Line] = []
    for prior_of_invoice in prior:
        changes = [(line.product, Decimal(line.amount)) for line in adjustments if prior_of_invoice.changed_by(line)]
        if not changes:
            continue
        now = {
            key_of(part): part
            for part in reductions([*prior_of_invoice.charged, *changes], prior_of_invoice.terms, currency)
        }
        billed = dict(prior_of_invoice.billed)
        for key in sorted(now.keys() | billed.keys()):
            lines.extend(_adjusted(prior_of_invoice, key, now.get(key), billed.get(key, ZERO), currency))
    return lines


def _none(key: str) -> ReductionLine:
    """A discount or true-up of zero."""
    kind: ReductionKind = "commitment" if key == COMMITMENT else "discount"
    text = "the commitment is met" if key == COMMITMENT else "there is nothing left to take it off"
    return ReductionLine(kind, key.partition(":")[2], ZERO, Step(kind, ZERO, text))


def _adjusted(
    prior: PriorTerms,
    key: str,
    now: ReductionLine | None,
    billed: Decimal,
    currency: str,
    why: str = "adjusted for late or voided usage",
) -> Iterable[Line]:
    now = now or _none(key)
    with exactly():
        difference = now.amount - billed
    if not difference:
        return
    line = line_of(now, prior.terms, currency, prior.start_us, prior.end_us)
    span = f"{rfc3339(prior.start_us)} to {rfc3339(prior.end_us)}"
    yield replace(
        line,
        kind="adjustment",
        description=f"{line.description}, {why}",
        amount=money_text(difference, currency),
        unrounded=plain(difference),
        note=f"{span}: {plain(now.amount)} instead of {plain(billed)}",
        adjusts=prior.invoice_id,
        of_plan=prior.plan or line.of_plan,
    )
