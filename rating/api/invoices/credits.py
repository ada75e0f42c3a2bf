"""GET /v1/accounts/{id}/credits: prepaid credits of an account, and what is left of them."""

from __future__ import annotations

from decimal import Decimal

from fastapi import APIRouter

from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import unknown_account
from rating.invoices.amounts.prepaid_credits import grant_balances
from rating.invoices.billed_so_far import credits_drawn
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from schemas.catalog.state import NamespaceView
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


@router.get("/v1/accounts/{account_id:path}/credits", summary="Prepaid credits: granted, used, left, expired")
async def credits(rating: Authorized, view: View, account_id: str) -> JsonObject:
    """In the order in which invoices draw on them; `balances` sums by currency what is left."""
    return await account_credits(rating, view, account_id)


async def account_credits(rating: Rating, view: NamespaceView, account_id: str) -> JsonObject:
    """Grants of an account with what is left of them, as the route answers. Raises Problem."""
    if not view.history("account", account_id):
        raise unknown_account(view.namespace, account_id)
    now_us = micros(rating.now_of(view))
    used = await rating.ask(lambda client: credits_drawn(client, view.namespace, account_id))
    grants = grant_balances(view, account_id, used, now_us)
    left: dict[str, list[Decimal]] = {}
    for grant in grants:
        left.setdefault(grant.owned.grant.currency, []).append(grant.left)
    return {
        "account_id": account_id,
        "at": rfc3339(now_us),
        "balances": {currency: money_text(exact_sum(parts), currency) for currency, parts in sorted(left.items())},
        "grants": [grant.to_json() for grant in grants],
    }
