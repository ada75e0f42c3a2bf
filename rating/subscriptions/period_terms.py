"""What a subscription has agreed beside its plan's prices, as it holds for one period: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import Entry
from schemas.catalog.terms import Discount, in_force
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    body_of,
)
from schemas.prices import plain
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class Terms:
    """Discounts in force, in their order, and the minimum commitment (None: none) of one period."""

    discounts: tuple[Discount, ...] = ()
    minimum_commitment: Decimal | None = None

    def to_json(self) -> JsonObject:
        """As it is pinned on the invoice."""
        fields: JsonObject = {
            "discounts": [discount.model_dump(mode="json", exclude_none=True) for discount in self.discounts]
        }
        if self.minimum_commitment is not None:
            fields["minimum_commitment"] = plain(self.minimum_commitment)
        return fields


NO_TERMS = Terms()


def pinned_terms(invoice: Invoice) -> Terms:
    """The terms that the period of an Invoice record was billed by; none on a record of before there were any."""
    return _of(body_of(invoice).terms)


def pinned_terms_ahead(invoice: Invoice) -> Terms:
    """The discounts of the period that follows, by which an Invoice record bills that period's fees in advance."""
    return _of(body_of(invoice).terms_ahead)


def _of(pinned: Mapping[str, Any]) -> Terms:
    minimum = pinned.get("minimum_commitment")
    return Terms(
        tuple(Discount.model_validate(discount) for discount in pinned.get("discounts", ())),
        None if minimum is None else Decimal(minimum),
    )


def with_overrides(plan: Entry, subscription: Subscription) -> Entry:
    """The plan's entry as this subscription has it: its own prices, the plan's discounts and then its own, its
    commitment.

    The same object where nothing differs. An override whose charge the plan no longer has changes nothing.
    """
    if not subscription.overrides and not subscription.discounts and subscription.minimum_commitment is None:
        return plan
    model: Plan = plan.model
    prices = {override.charge: override.price for override in subscription.overrides}
    body = model.model_dump(mode="json")
    for charge, written in zip(model.charges, body["charges"], strict=True):
        written["price"] = prices.get(charge.key, written["price"])
    own_terms = subscription.model_dump(mode="json", include={"discounts", "minimum_commitment"})
    own_codes = {discount["code"] for discount in own_terms["discounts"]}
    # A discount of the same code stands in place of the plan's.
    body["discounts"] = [discount for discount in body["discounts"] if discount["code"] not in own_codes] + own_terms[
        "discounts"
    ]
    if own_terms["minimum_commitment"] is not None:
        body["minimum_commitment"] = own_terms["minimum_commitment"]
    return replace(plan, body=body)


def terms_of(plan: Plan, zone: str, end_us: int, used: Mapping[str, int]) -> Terms:
    """What holds for a period that ends at ``end_us``: what is in force at its last moment.

    ``used``: discount → in how many of the subscription's periods before it that was in force, which uses up one of a
    number of periods.
    """

    def holds(discount: Discount) -> bool:
        if not in_force(discount.start, discount.end, end_us - 1, zone):
            return False
        return discount.periods is None or used.get(discount.code, 0) < discount.periods

    return Terms(tuple(discount for discount in plan.discounts if holds(discount)), plan.minimum_commitment)


@dataclass(frozen=True, slots=True)
class TermsOf:
    """The discounts, by their codes, that were in force in the period [start_us, end_us) of a subscription, which is
    billed or about to be."""

    start_us: int
    end_us: int
    codes: frozenset[str]


def terms_billed(chain: Iterable[Invoice]) -> list[TermsOf]:
    """By the terms pinned on the invoices of a chain that are not void."""
    return [
        TermsOf(
            invoice.period_start,
            invoice.period_end,
            frozenset(discount.code for discount in pinned_terms(invoice).discounts),
        )
        for invoice in chain
        if invoice.state != VOID and invoice.period_start < invoice.period_end and '"discounts"' in invoice.body
    ]


def uses(periods: Iterable[TermsOf], before_us: int) -> dict[str, int]:
    """Discount → in how many of ``periods`` that begin before ``before_us`` it was in force."""
    codes: dict[int, frozenset[str]] = {}
    for period in periods:
        if period.start_us < before_us:
            codes[period.start_us] = codes.get(period.start_us, frozenset()) | period.codes
    return Counter(code for of_period in codes.values() for code in of_period)
