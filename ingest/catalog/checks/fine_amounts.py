"""Amounts of plans and subscriptions that the plan's currency has no coins for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from schemas.catalog.models import Plan, Subscription
from schemas.values.currency import exponent, is_known, is_too_fine


def too_fine(currency: str, model: Plan | Subscription) -> Iterator[tuple[str, str]]:
    """(place below the entry, what is wrong) of limits in money, and of a subscription's invoice threshold: a plan
    refuses its own by itself."""
    if not is_known(currency):
        return
    amounts: list[tuple[str, Decimal | None]] = []
    if isinstance(model, Subscription):
        amounts.append((".invoice_threshold", model.invoice_threshold))
    for number, grant in enumerate(model.features):
        amounts += [
            (f".features[{number}].limits[{place}].amount", limit.amount)
            for place, limit in enumerate(grant.limits or ())
        ]
    for below, amount in amounts:
        if amount is not None and is_too_fine(amount, currency):
            yield below, f"{amount} has more than {currency}'s {exponent(currency)} decimals; round it"
