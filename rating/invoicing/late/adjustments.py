"""Billed lines rated again by present totals, and the adjustments that follow where an amount has changed. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from rating.invoices.amounts.unpriced_values import (
    completed,
    unpriced_of,
)
from rating.invoicing.charges import Totals
from rating.invoicing.late.late_usage import Prior
from rating.invoicing.rated_items import price_text, rate_rows, steps_text
from rating.pricing import PriceError, Rated, money_text, plain
from rating.pricing.exact import exact_sum
from rating.subscriptions.timeline import PlanningError
from rating.usage import Usage
from schemas.ledgers.invoice_record import (
    Line,
)
from schemas.prices import Price
from schemas.values.instants import rfc3339
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class RatedAgain:
    """A re-rated line: ``price`` as it would be pinned now, and a note."""

    prior: Prior
    price: Price
    priced: Rated
    usage: Usage
    note: str


def rate_again(billed: Iterable[Prior], totals: Totals, account_id: str, currency: str) -> list[RatedAgain]:
    """Re-rate each line by present totals; parts of one period together. Raises PlanningError."""
    groups: dict[Hashable, list[Prior]] = {}
    for number, prior in enumerate(billed):
        groups.setdefault(prior.group or number, []).append(prior)
    result: list[RatedAgain] = []
    for group in groups.values():
        if len(group) > 1:
            group.sort(key=lambda prior_of_group: prior_of_group.line.period_start)
        parts = [(prior.price, prior.need, totals[prior.need].get(account_id)) for prior in group]
        try:
            rated = rate_rows(parts, currency)
            completions = [
                completed(price, priced.unpriced, prior_of_group.later)
                for prior_of_group, (price, priced, _, _) in zip(group, rated, strict=True)
            ]
            if any(completed_notes for _, completed_notes in completions):
                parts = [(price, need, rows) for (price, _), (_, need, rows) in zip(completions, parts, strict=True)]
                rated = rate_rows(parts, currency)
        except PriceError as error:
            group_head = group[0]
            raise PlanningError(
                f"adjustment of {group_head.invoice_id}, line {group_head.line.number}: {error}"
            ) from None
        for prior, (price, priced, usage, note), (_, completed_notes) in zip(group, rated, completions, strict=True):
            notes = "; ".join([*completed_notes, *([note] if note else [])])
            result.append(RatedAgain(prior, price, priced, usage, notes))
    return result


def adjustments(billed: Iterable[Prior], totals: Totals, account_id: str, currency: str) -> list[Line]:
    """An adjustment for each line whose amount has changed, or of which other usage has no price now. Raises
    PlanningError."""
    return [line for line, _ in adjusted(billed, totals, account_id, currency)]


def adjusted(billed: Iterable[Prior], totals: Totals, account_id: str, currency: str) -> list[tuple[Line, Prior]]:
    """``adjustments``, each with the line that it adjusts. Raises PlanningError."""
    lines: list[tuple[Line, Prior]] = []
    for rated in rate_again(billed, totals, account_id, currency):
        prior, priced, usage = rated.prior, rated.priced, rated.usage
        difference = exact_sum((priced.amount, -prior.billed))
        lacking = [(part.values, part.quantity, part.others) for part in priced.unpriced]
        lacked = [(one.values, one.quantity, one.others) for one in unpriced_of(prior.newest)]
        if not difference and lacking == lacked:
            continue
        was = f"{plain(priced.amount)} for {plain(usage.quantity or Decimal(0))} instead of {plain(prior.billed)}"
        span = f"{rfc3339(prior.line.period_start)} to {rfc3339(prior.line.period_end)}"
        line = replace(
            prior.line,
            kind="adjustment",
            description=f"{prior.line.description}, adjusted for late or voided usage",
            price=prior.newest.price if rated.price == prior.price else price_text(rated.price),
            quantity=plain(usage.quantity or Decimal(0)),
            events=str(usage.events),
            amount=money_text(difference, currency),
            unrounded=plain(difference),
            steps=steps_text(priced),
            note="; ".join(part for part in (f"{span}: {was}", rated.note) if part),
            adjusts=prior.invoice_id,
            of_plan=prior.plan,
        )
        lines.append((line, prior))
    return lines
