"""The answer to the check of one entitlement, as the route and the door in front of it give it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from rating.api.context import Rating
from rating.api.entitlements.answer import as_of_json, entitlement_json
from rating.api.entitlements.checks import CheckedDecisions, FeatureCheck, answered
from rating.api.rating_problems import wrong
from rating.entitlements.granted import Granted
from schemas.catalog.state import NamespaceView
from schemas.prices.decimals import exact_decimal
from schemas.values.json_text import JsonObject


async def check_answer(
    rating: Rating, view: NamespaceView, check: FeatureCheck, granted: Granted, now_us: int
) -> bytes:
    """JSON; ``granted``: to the account of ``check``. Raises Problem (503) where usage cannot be told."""
    result = await answered(
        rating.usage_keeper, rating.reservations.held, view, [check], {check.account_id: granted}, now_us
    )
    answer = entitlement_json(check.account_id, check.feature, result.decisions[0])
    answer["as_of"] = as_of_last(rating, view, result, now_us)
    return msgspec.json.encode(answer)


def as_of_last(rating: Rating, view: NamespaceView, result: CheckedDecisions, now_us: int) -> JsonObject:
    """What decisions are as of, with the last checkpoint that this process knows."""
    last = rating.checkpoints.last
    return as_of_json(view, result.as_of, now_us, None if last is None else last.number)


def quantity_of(text: str | None) -> Decimal | None:
    """A quantity as a query names it. Raises Problem (422)."""
    if text is None:
        return None
    try:
        quantity = exact_decimal(text)
    except ValueError as error:
        raise wrong("quantity", str(error)) from None
    if quantity < 0:
        raise wrong("quantity", "is negative; ask for 0 or more")
    return quantity
