"""Lines that come after an invoice's charges: discounts, the true-up to a commitment, prepaid credits; and what late usage of
an earlier invoice changes in its discounts and true-up. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from rating.close.line_plans import OF_PLAN, LinePlan
from rating.close.standing import Invoice, Line
from rating.close.terms import NO_TERMS, Terms, pinned_terms
from rating.pricing import money_text
from rating.pricing.exact import exactly
from rating.pricing.line import ZERO, Step
from rating.pricing.reductions import (
    Balance,
    Reduction,
    ReductionKind,
    commitment_lines,
    credit_lines,
    discount_lines,
    total_of,
)
from schemas.instants import rfc3339
from schemas.invoices import VOID
from schemas.prices import plain

CHARGED: Final = frozenset({"usage", "flat"})
"""Kinds of lines that discounts and the commitment of their own invoice work on."""

COMMITMENT: Final = "commitment:"


def key_of(reduction: Reduction) -> str:
    """What an invoice line calls it in ``charge``; a charge's own code has no colon."""
    return f"{reduction.kind}:{reduction.code}"


def reductions(charged: Iterable[tuple[str, Decimal]], terms: Terms, currency: str) -> list[Reduction]:
    """Discounts, then the commitment, on (product, rounded amount) of every charge."""
    amounts = list(charged)
    found = discount_lines(amounts, terms.discounts, currency)
    with exactly():
        left = sum((amount for _, amount in amounts), ZERO) + total_of(found)
    return found + commitment_lines(left, terms.minimum_commitment, currency)


def reduced(lines: Sequence[Line], terms: Terms, currency: str, start_us: int, end_us: int) -> list[Line]:
    """The lines that ``terms`` add to an invoice with these charges."""
    if not any(line["kind"] in CHARGED for line in lines):
        return []
    charged = ((line["product"], Decimal(line["amount"])) for line in lines if line["kind"] in CHARGED)
    return [line_of(one, terms, currency, start_us, end_us) for one in reductions(charged, terms, currency)]


def paid(due: Decimal, balances: Iterable[Balance], currency: str, start_us: int, end_us: int) -> list[Line]:
    """The lines by which prepaid credits pay of ``due``."""
    return [
        _line(one, f"Prepaid credit {one.code}", {"credit_grant": one.code}, currency, start_us, end_us)
        for one in credit_lines(due, balances)
    ]


def line_of(one: Reduction, terms: Terms, currency: str, start_us: int, end_us: int) -> Line:
    """A discount or a true-up as a line; ``price`` holds the term as pinned."""
    if one.kind == "commitment":
        minimum = plain(terms.minimum_commitment or ZERO)
        return _line(
            one, "True-up to the minimum commitment", {"minimum_commitment": minimum}, currency, start_us, end_us
        )
    discount = next(discount for discount in terms.discounts if discount.code == one.code)
    line = _line(
        one,
        discount.name or f"Discount {one.code}",
        discount.model_dump(mode="json", exclude_none=True),
        currency,
        start_us,
        end_us,
    )
    return line | {"product": discount.product or ""}


def _line(
    one: Reduction, description: str, pinned: Mapping[str, Any], currency: str, start_us: int, end_us: int
) -> Line:
    return {
        "kind": one.kind, "charge": key_of(one), "product": "", "description": description, "profile_id": "",
        "profile_versions": [], "period_start": start_us, "period_end": end_us, "quantity": "", "events": "", "unit": "",
        "price": json.dumps(pinned, ensure_ascii=False, sort_keys=True),
        "amount": money_text(one.amount, currency), "unrounded": plain(one.step.amount),
        "steps": json.dumps([one.step.as_json()], ensure_ascii=False), "note": "", "adjusts": "",
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class PriorTerms:
    """An earlier invoice with terms: what its charges, and each of its discounts and its true-up, have come to with all
    adjustments so far. ``charged`` by product, ``billed`` by key."""

    invoice_id: str
    start_us: int
    end_us: int
    terms: Terms
    charged: tuple[tuple[str, Decimal], ...]
    billed: tuple[tuple[str, Decimal], ...]
    plan: LinePlan | None = None


def prior_terms(chain: Sequence[Invoice], invoice_ids: Iterable[str]) -> tuple[PriorTerms, ...]:
    """Those of ``invoice_ids``, invoices of the chain that stand, that were billed by terms."""
    by_id = {invoice["invoice_id"]: invoice for invoice in chain}
    return tuple(
        _prior(chain, by_id[name], terms)
        for name in dict.fromkeys(invoice_ids)
        if (terms := pinned_terms(by_id[name])) != NO_TERMS
    )


def _prior(chain: Sequence[Invoice], invoice: Invoice, terms: Terms) -> PriorTerms:
    charged: dict[str, Decimal] = {}
    billed: dict[str, Decimal] = {}
    with exactly():
        for other in chain:
            if other["state"] == VOID:
                continue
            for line in other["lines"]:
                own = other is invoice and line["kind"] in CHARGED | {"discount", "commitment"}
                if not own and line["adjusts"] != invoice["invoice_id"]:
                    continue
                where, name = (billed, line["charge"]) if ":" in line["charge"] else (charged, line["product"])
                where[name] = where.get(name, ZERO) + Decimal(line["amount"])
    return PriorTerms(
        invoice["invoice_id"], invoice["period_start"], invoice["period_end"], terms, tuple(charged.items()), tuple(billed.items()),
        LinePlan(invoice["plan"], invoice["plan_version"]),
    )  # fmt: skip


def adjusted_terms(prior: Iterable[PriorTerms], adjustments: Iterable[Line], currency: str) -> list[Line]:
    """What ``adjustments`` of earlier charges change in those invoices' discounts and true-ups: a line for each difference."""
    changes: dict[str, list[tuple[str, Decimal]]] = {}
    for line in adjustments:
        changes.setdefault(line["adjusts"], []).append((line["product"], Decimal(line["amount"])))
    found: list[Line] = []
    for one in prior:
        if one.invoice_id not in changes:
            continue
        now = {key_of(part): part for part in reductions([*one.charged, *changes[one.invoice_id]], one.terms, currency)}
        before = dict(one.billed)
        for key in sorted(now.keys() | before.keys()):
            found.extend(_adjusted(one, key, now.get(key), before.get(key, ZERO), currency))
    return found


def _adjusted(prior: PriorTerms, key: str, now: Reduction | None, before: Decimal, currency: str) -> Iterable[Line]:
    if now is None:
        kind: ReductionKind = "commitment" if key == COMMITMENT else "discount"
        text = "the commitment is met" if key == COMMITMENT else "there is nothing left to take it off"
        now = Reduction(kind, key.partition(":")[2], ZERO, Step(kind, ZERO, text))
    with exactly():
        difference = now.amount - before
    if not difference:
        return
    line = line_of(now, prior.terms, currency, prior.start_us, prior.end_us)
    span = f"{rfc3339(prior.start_us)} to {rfc3339(prior.end_us)}"
    yield line | {
        "kind": "adjustment", "description": f"{line['description']}, adjusted for late or voided usage", "amount": money_text(difference, currency),
        "unrounded": plain(difference), "note": f"{span}: {plain(now.amount)} instead of {plain(before)}", "adjusts": prior.invoice_id,
        **({} if prior.plan is None else {OF_PLAN: prior.plan}),
    }  # fmt: skip
