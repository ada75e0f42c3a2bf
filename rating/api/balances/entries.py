"""GET /v1/accounts/{id}/balance/entries: the ledger of an account's prepaid credit."""

from __future__ import annotations

from typing import Annotated

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query

from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import unknown_account, wrong
from rating.invoices.amounts.prepaid.grant_entries import BalanceEntry, balance_entries
from rating.invoices.amounts.prepaid_credits import grants_of_account
from rating.invoices.billed_so_far import credited_invoices
from rating.invoices.lists import MAX_LIMIT
from schemas.catalog.state import NamespaceView
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


@router.get(
    "/v1/accounts/{account_id:path}/balance/entries", summary="Every grant, draw, void and expiry, the newest first"
)
async def entries(
    rating: Authorized,
    view: View,
    account_id: str,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> JsonObject:
    """What made the balance what it is: the amounts of all entries add up to `settled` of `GET …/balance`. `balance` is
    the grant's after the entry, `total` the account's in that currency. They are derived from the catalog's versions of
    the grants and from the invoices' credit lines, credit notes and voids. `next_cursor` is null on the last page."""
    return await account_entries(rating, view, account_id, cursor, limit)


async def account_entries(
    rating: Rating, view: NamespaceView, account_id: str, cursor: str | None, limit: int
) -> JsonObject:
    """A page of the account's entries, as the route answers. Raises Problem."""
    if not view.history("account", account_id):
        raise unknown_account(view.namespace, account_id)
    now_us = micros(rating.now_of(view))

    def question(client: Client) -> list[BalanceEntry]:
        owned = grants_of_account(view, account_id, retired=True)
        subscriptions = {grant.grant.subscription for grant in owned if grant.grant.subscription is not None}
        invoices = credited_invoices(client, view.namespace, account_id, subscriptions) if owned else []
        return balance_entries(view, account_id, invoices, now_us)

    all_entries = await rating.ask(question)
    end = len(all_entries) if cursor is None else _position(cursor)
    page = all_entries[max(end - limit, 0) : end]
    return {
        "account_id": account_id,
        "at": rfc3339(now_us),
        "entries": [entry.to_json() for entry in reversed(page)],
        "next_cursor": str(end - limit) if end > limit else None,
    }


def _position(cursor: str) -> int:
    """How many entries are older than the page before. Raises Problem."""
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise wrong("cursor", f"{cursor[:40]!r} is no cursor of this list; take next_cursor of the page before")
    return int(cursor)
