"""Terms of a subscription for one period: discounts, overrides and minimum commitment. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from msgspec import Struct

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
from schemas.values.record_copy import replace


class Terms(Struct, frozen=True):
    """The discounts in force, in order, and the minimum commitment (None: none) of one period."""

    discounts: tuple[Discount, ...] = ()
    minimum_commitment: Decimal | None = None

    def to_json(self) -> JsonObject:
        """The form pinned on the invoice."""
        fields: JsonObject = {
            "discounts": [discount.model_dump(mode="json", exclude_none=True) for discount in self.discounts]
        }
        if self.minimum_commitment is not None:
            fields["minimum_commitment"] = plain(self.minimum_commitment)
        return fields


NO_TERMS = Terms()


def pinned_terms(invoice: Invoice) -> Terms:
    """The terms by which an invoice's period was billed; empty for releases without terms."""
    return _of(body_of(invoice).terms)


def pinned_terms_ahead(invoice: Invoice) -> Terms:
    """The discounts of the following period, by which an invoice bills that period's fees in advance."""
    return _of(body_of(invoice).terms_ahead)


def _of(pinned: Mapping[str, Any]) -> Terms:
    minimum = pinned.get("minimum_commitment")
    return Terms(
        tuple(Discount.model_validate(discount) for discount in pinned.get("discounts", ())),
        None if minimum is None else Decimal(minimum),
    )


def with_overrides(plan: Entry, subscription: Subscription) -> Entry:
    """The plan's entry with the subscription's prices, its discounts after the plan's, its commitment and its
    threshold.

    Returns the same object if nothing differs. An override of a charge that the plan no longer has is ignored.
    """
    if (
        not subscription.overrides
        and not subscription.discounts
        and subscription.minimum_commitment is None
        and subscription.invoice_threshold is None
    ):
        return plan
    model: Plan = plan.model
    prices = {override.charge: override.price for override in subscription.overrides}
    body = model.model_dump(mode="json")
    for charge, written in zip(model.charges, body["charges"], strict=True):
        written["price"] = prices.get(charge.key, written["price"])
    own_terms = subscription.model_dump(mode="json", include={"discounts", "minimum_commitment"})
    own_codes = {discount["code"] for discount in own_terms["discounts"]}
    # A discount with the same code replaces the plan's.
    body["discounts"] = [discount for discount in body["discounts"] if discount["code"] not in own_codes] + own_terms[
        "discounts"
    ]
    if own_terms["minimum_commitment"] is not None:
        body["minimum_commitment"] = own_terms["minimum_commitment"]
    if subscription.invoice_threshold is not None:
        body["invoice_threshold"] = str(subscription.invoice_threshold)
    return replace(plan, body=body)


def terms_of(plan: Plan, zone: str, end_us: int, used: Mapping[str, int]) -> Terms:
    """The terms of a period that ends at ``end_us``, which are those in force at its last moment.

    ``used``: discount → number of earlier periods in which it was in force, for discounts limited to a number of
    periods.
    """

    def holds(discount: Discount) -> bool:
        if not in_force(discount.start, discount.end, end_us - 1, zone):
            return False
        return discount.periods is None or used.get(discount.code, 0) < discount.periods

    return Terms(tuple(discount for discount in plan.discounts if holds(discount)), plan.minimum_commitment)


@dataclass(frozen=True, slots=True)
class TermsOf:
    """The codes of the discounts in force in the period [start_us, end_us) of a subscription, billed or about to
    be."""

    start_us: int
    end_us: int
    codes: frozenset[str]


def terms_billed(chain: Iterable[Invoice]) -> list[TermsOf]:
    """From the terms pinned on the invoices of a chain that are not void."""
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
    """Discount → number of ``periods`` that begin before ``before_us`` in which it was in force."""
    codes: dict[int, frozenset[str]] = {}
    for period in periods:
        if period.start_us < before_us:
            codes[period.start_us] = codes.get(period.start_us, frozenset()) | period.codes
    return Counter(code for of_period in codes.values() for code in of_period)
