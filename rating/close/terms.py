"""What a subscription has agreed beside its plan's prices, as it holds for one period: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import Entry
from schemas.catalog.terms import Discount, in_force
from schemas.prices import plain


@dataclass(frozen=True, slots=True)
class Terms:
    """Discounts in force, in their order, and the minimum commitment (None: none) of one period."""

    discounts: tuple[Discount, ...] = ()
    minimum_commitment: Decimal | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is pinned on the invoice."""
        found: dict[str, Any] = {
            "discounts": [one.model_dump(mode="json", exclude_none=True) for one in self.discounts]
        }
        if self.minimum_commitment is not None:
            found["minimum_commitment"] = plain(self.minimum_commitment)
        return found


NO_TERMS = Terms()


def pinned_terms(invoice: Mapping[str, Any]) -> Terms:
    """The terms that an Invoice record was billed by; none on a record of before there were any."""
    found = json.loads(invoice.get("body") or "{}").get("terms", {})
    minimum = found.get("minimum_commitment")
    return Terms(
        tuple(Discount.model_validate(one) for one in found.get("discounts", ())),
        None if minimum is None else Decimal(minimum),
    )


def with_overrides(plan: Entry, subscription: Subscription) -> Entry:
    """The plan's entry as this subscription has it: its own prices, the plan's discounts and then its own, its commitment.

    The same object where nothing differs. An override whose charge the plan no longer has changes nothing.
    """
    if not subscription.overrides and not subscription.discounts and subscription.minimum_commitment is None:
        return plan
    model: Plan = plan.model
    prices = {override.charge: override.price for override in subscription.overrides}
    body = model.model_dump(mode="json")
    for charge, written in zip(model.charges, body["charges"], strict=True):
        written["price"] = prices.get(charge.key, written["price"])
    own = subscription.model_dump(mode="json", include={"discounts", "minimum_commitment"})
    taken = {one["code"] for one in own["discounts"]}
    # A discount of the same code stands in place of the plan's.
    body["discounts"] = [one for one in body["discounts"] if one["code"] not in taken] + own["discounts"]
    if own["minimum_commitment"] is not None:
        body["minimum_commitment"] = own["minimum_commitment"]
    return replace(plan, body=body)


def terms_of(plan: Plan, zone: str, end_us: int, earlier_ends: Iterable[int]) -> Terms:
    """What holds for a period that ends at ``end_us``: what is in force at its last moment.

    ``earlier_ends``: ends of the subscription's periods before it, which use up discounts of a number of periods.
    """
    ends = set(earlier_ends)

    def holds(discount: Discount) -> bool:
        if not in_force(discount.start, discount.end, end_us - 1, zone):
            return False
        if discount.periods is None:
            return True
        return sum(in_force(discount.start, discount.end, end - 1, zone) for end in ends) < discount.periods

    return Terms(tuple(discount for discount in plan.discounts if holds(discount)), plan.minimum_commitment)
