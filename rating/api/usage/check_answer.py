"""The answers to checks of entitlements, as the routes and the door in front of them give them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from pydantic import Field

from rating.api.context import Rating
from rating.api.entitlements.answer import as_of_json, entitlement_json
from rating.api.entitlements.checks import CheckedDecisions, FeatureCheck, answered
from rating.api.rating_problems import RatingProblem, wrong
from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.granted import Granted
from schemas.catalog.base import Code, Identifier, Model
from schemas.catalog.state import NamespaceView
from schemas.prices.decimals import NotNegative, exact_decimal
from schemas.values.json_text import JsonObject

MOST_CHECKS: Final = 100
MOST_FEATURES: Final = 100
"""On a page of an account's entitlements that names no limit."""
_WRITTEN_AT_ONCE: Final = 10


class CheckItem(Model):
    """May an account use a feature?"""

    account_id: Identifier
    feature: Code
    quantity: Annotated[
        NotNegative | None, Field(description="so much of it; null: anything at all, of which something must be left")
    ] = None


class CheckRequest(Model):
    """Several checks, answered as of one instant."""

    checks: Annotated[list[CheckItem], Field(min_length=1, max_length=MOST_CHECKS)]

    @property
    def of_features(self) -> list[FeatureCheck]:
        """The checks."""
        return [FeatureCheck(item.account_id, item.feature, item.quantity) for item in self.checks]


async def check_answer(
    rating: Rating, view: NamespaceView, check: FeatureCheck, granted: Granted, now_us: int
) -> bytes:
    """JSON; ``granted``: to the account of ``check``. Raises Problem (422, 503), also where usage cannot be told."""
    if fault := _fault_of_quantity(view, check):
        raise wrong("quantity", fault)
    result = await answered(
        rating.usage_keeper, rating.reservations.held, view, [check], {check.account_id: granted}, now_us
    )
    answer = entitlement_json(check.account_id, check.feature, result.decisions[0])
    answer["as_of"] = as_of_last(rating, view, result, now_us)
    return msgspec.json.encode(answer)


async def checks_answer(
    rating: Rating, view: NamespaceView, checks: Sequence[FeatureCheck], granted: Mapping[str, Granted], now_us: int
) -> bytes:
    """JSON of several checks, in their order; ``granted``: to each account that is there. What is not there is not
    allowed. Raises as ``check_answer``."""
    faults = [
        (f"body.checks.{number}.quantity", fault)
        for number, check in enumerate(checks)
        if (fault := _fault_of_quantity(view, check))
    ]
    if faults:
        detail = "; ".join(f"{path}: {fault}" for path, fault in faults)
        raise RatingProblem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, faults)
    unknown = {number: decision for number, check in enumerate(checks) if (decision := unknown_decision(view, check))}
    known = [check for number, check in enumerate(checks) if number not in unknown]
    result = await answered(rating.usage_keeper, rating.reservations.held, view, known, granted, now_us)
    decisions = iter(result.decisions)
    results: list[JsonObject] = []
    for number, check in enumerate(checks):
        if number and number % _WRITTEN_AT_ONCE == 0:
            await asyncio.sleep(0)  # so that others' checks do not wait for all of these
        results.append(entitlement_json(check.account_id, check.feature, unknown.get(number) or next(decisions)))
    return msgspec.json.encode({"results": results, "as_of": as_of_last(rating, view, result, now_us)})


async def account_json(
    rating: Rating, view: NamespaceView, granted: Granted, cursor: str | None, limit: int, now_us: int
) -> JsonObject:
    """A page of what an account may use. Raises as ``check_answer``."""
    account_id = granted.account_id
    features = [code for code in granted.grants if cursor is None or code > cursor]
    page = features[:limit]
    checks = [FeatureCheck(account_id, code) for code in page]
    result = await answered(rating.usage_keeper, rating.reservations.held, view, checks, {account_id: granted}, now_us)
    return {
        "account_id": account_id,
        "time_zone": granted.time_zone,
        "entitlements": [
            entitlement_json(account_id, code, decision) for code, decision in zip(page, result.decisions, strict=True)
        ],
        "problems": list(granted.problems),
        "next_cursor": page[-1] if len(features) > len(page) else None,
        "as_of": as_of_last(rating, view, result, now_us),
    }


def unknown_decision(view: NamespaceView, check: FeatureCheck) -> EntitlementDecision | None:
    """That there is no such account, or feature; None where there is."""
    if view.get("account", check.account_id) is None:
        return EntitlementDecision(
            False, "unknown_account", f"there is no account {check.account_id[:64]!r}; publish it"
        )
    if view.get("feature", check.feature) is None:
        return EntitlementDecision(False, "unknown_feature", f"there is no feature {check.feature!r}; publish it")
    return None


def _fault_of_quantity(view: NamespaceView, check: FeatureCheck) -> str:
    """Why there can be no quantity of the feature; "": there can."""
    entry = view.get("feature", check.feature)
    if check.quantity is None or entry is None or entry.model.profile is not None:
        return ""
    return f"feature {check.feature} is not metered, so there is no quantity of it; leave it out"


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
