"""GET /v1/accounts/{id}/entitlements and …/{feature}, POST /v1/entitlements/check: what an account may use now."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response

from rating.api.context import Authorized, Rating, View
from rating.api.entitlements.checks import FeatureCheck
from rating.api.rating_problems import missing, unknown_account
from rating.api.usage.check_answer import (
    MOST_FEATURES,
    CheckRequest,
    account_json,
    check_answer,
    checks_answer,
    quantity_of,
    unknown_decision,
)
from rating.entitlements.granted import Granted, billed_ends_matter, granted_to
from rating.invoices.read import read_chains
from schemas.catalog.state import NamespaceView
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject
from schemas.values.suggestions import similar

router = APIRouter(tags=["entitlements"])

_MOST_FEATURES: Final = 1000
_AT_ONCE: Final = 20
"""Subscriptions of an account that are looked at in the event loop; more are in a thread."""


@router.get("/v1/accounts/{account_id:path}/entitlements/{feature}", summary="May the account use the feature now?")
async def entitlement(
    rating: Authorized,
    view: View,
    account_id: str,
    feature: str,
    quantity: Annotated[
        str | None, Query(description="so much of it, a decimal; without it something of each hard limit must be left")
    ] = None,
) -> Response:
    """`used` is what GET /v1/usage and the invoice of this moment say; in money the lines' amounts before discounts.
    `granted`, `used`, `remaining`, `overage` and `resets_at` are of the limit that refuses, else of the hard one of
    which least is left; `limits` has all of them. Where several active subscriptions grant the feature, one that allows
    suffices."""
    view = await knowing(rating, view, account_id, feature)
    now_us = micros(rating.now_of(view))
    check = FeatureCheck(account_id, feature, quantity_of(quantity))
    granted = await granted_now(rating, view, account_id, now_us)
    return Response(await check_answer(rating, view, check, granted, now_us), media_type="application/json")


@router.get("/v1/accounts/{account_id:path}/entitlements", summary="What the account may use now, feature by feature")
async def entitlements(
    rating: Authorized,
    view: View,
    account_id: str,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_FEATURES)] = MOST_FEATURES,
) -> Response:
    """The features that its active subscriptions grant, in order of their codes, as of one instant; a feature that is
    not listed is not granted."""
    answer = await account_entitlements(rating, view, account_id, cursor, limit)
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def account_entitlements(
    rating: Rating, view: NamespaceView, account_id: str, cursor: str | None, limit: int
) -> JsonObject:
    """A page of what the account may use, as the route answers. Raises Problem."""
    known_account(view, account_id)
    now_us = micros(rating.now_of(view))
    granted = await granted_now(rating, view, account_id, now_us)
    return await account_json(rating, view, granted, cursor, limit, now_us)


@router.post("/v1/entitlements/check", summary="Up to 100 checks of accounts and features, as of one instant")
async def check(rating: Authorized, view: View, body: CheckRequest) -> Response:
    """Answered in the order of `checks`. An account or a feature that is not there is not allowed, with the reason
    `unknown_account` or `unknown_feature`, and stops no other check."""
    now_us = micros(rating.now_of(view))
    checks = body.of_features
    granted: dict[str, Granted] = {}
    for check in checks:
        if check.account_id not in granted and unknown_decision(view, check) is None:
            granted[check.account_id] = await granted_now(rating, view, check.account_id, now_us)
            await asyncio.sleep(0)  # so that others' checks do not wait for all of these
    return Response(await checks_answer(rating, view, checks, granted, now_us), media_type="application/json")


async def knowing(rating: Rating, view: NamespaceView, account_id: str, feature: str) -> NamespaceView:
    """The catalog as one that has the account and the feature, which a gateway may have published a moment before.
    Raises Problem (404)."""
    known = view.get("account", account_id) is not None and view.get("feature", feature) is not None
    if not known and await rating.second_looks.due(view.namespace):
        view = rating.view(view.namespace)
    known_account(view, account_id)
    known_feature(view, feature)
    return view


def known_account(view: NamespaceView, account_id: str) -> None:
    """Raises Problem (404) where there is no such account."""
    if view.get("account", account_id) is None:
        raise unknown_account(view.namespace, account_id)


def known_feature(view: NamespaceView, feature: str) -> None:
    """Raises Problem (404) where there is no such feature."""
    if view.get("feature", feature) is None:
        near = similar([entry.code for entry in view.all("feature")], (feature,)) if len(feature) <= 64 else ()
        hint = f"; did you mean {' or '.join(near)}?" if near else "; publish it: PUT /v1/features/…"
        raise missing(f"there is no feature {feature[:64]!r} in namespace {view.namespace}{hint}")


async def granted_now(rating: Rating, view: NamespaceView, account_id: str, now_us: int) -> Granted:
    """What the account is granted, worked out where the catalog or time changed it."""
    known = rating.grants.known(view, account_id, now_us)
    if known is not None:
        return known
    billed_until: dict[str, int] | None = None
    if billed_ends_matter(view, account_id):
        # Its periods begin where the stored ones ended, whatever the terms are by now.
        billed = await rating.ask(lambda client: read_chains(client, view.namespace, [account_id], ()))
        billed_until = {}
        for head in (invoice.head for invoice in billed if invoice.head.period_end_us <= now_us):
            billed_until[head.subscription] = max(billed_until.get(head.subscription, 0), head.period_end_us)
    if len(view.indexes.referring("subscription", "account", account_id)) > _AT_ONCE:
        granted = await rating.compute(lambda: granted_to(view, account_id, now_us, billed_until))
    else:
        granted = granted_to(view, account_id, now_us, billed_until)
    rating.grants.keep(view, granted)
    return granted
