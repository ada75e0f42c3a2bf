"""What an account's portal says: the API's own answers about the account, without what is the seller's alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

from rating.api.balances.balance import account_balance
from rating.api.context import Rating
from rating.api.portal.customer_view import live_of_customer, of_customer
from rating.api.portal.opened_portal import OpenedPortal
from rating.api.usage.current import running
from rating.api.usage.reservations import account_limits
from rating.api.usage.totals import answer_usage, read_question
from rating.invoices.lists import list_invoices
from rating.usage.usage_parameters import UsageParameters
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

MOST_METRICS: Final = 12
MOST_INVOICES: Final = 24
_MOST_FEATURES: Final = 50

T = TypeVar("T")


async def portal_answer(portal: OpenedPortal) -> JsonObject:
    """The account as its customer sees it. What cannot be told now is left out, and ``incomplete`` says so: why is for
    the seller. Raises Problem (404) for an account that is not there."""
    rating, view, account_id = portal.rating, portal.view, portal.account_id
    current = await running(rating, view, account_id, micros(rating.now_of(view)))
    namespace, missing = view.namespace, bool(current["problems"])

    async def tried(awaitable: Awaitable[T]) -> T | None:
        nonlocal missing
        try:
            return await awaitable
        except Problem:
            missing = True
            return None

    balance, limits, invoices, usage = await asyncio.gather(
        tried(account_balance(rating, view, account_id)),
        tried(account_limits(rating, view, account_id, _MOST_FEATURES)),
        tried(rating.ask(lambda client: list_invoices(client, namespace, account_id=account_id, limit=MOST_INVOICES))),
        tried(_by_day(rating, view, account_id, current["subscriptions"])),
    )
    problems = any(part and part["problems"] for part in (balance, limits))
    unpriced = any(charge["unpriced"] for one in current["subscriptions"] for charge in one["charges"])
    return {
        "account_id": account_id,
        "name": _name(view, account_id),
        "time_zone": current["time_zone"],
        "running": live_of_customer(current) | {"subscriptions": [_shown(one) for one in current["subscriptions"]]},
        "usage": usage or [],
        "metrics": portal.metrics(),
        "balance": None if balance is None else live_of_customer(balance),
        "entitlements": [] if limits is None else limits["entitlements"],
        "invoices": [] if invoices is None else [of_customer(head.to_json()) for head in invoices.invoices],
        "incomplete": missing or unpriced or problems,
    }


def _name(view: NamespaceView, account_id: str) -> str:
    entry = view.get("account", account_id)
    return "" if entry is None else str(entry.body.get("name") or "")


def _shown(subscription: JsonObject) -> JsonObject:
    """Without the seller's remedies for usage that has no price."""
    return subscription | {"charges": [charge | {"unpriced": []} for charge in subscription["charges"]]}


async def _by_day(
    rating: Rating, view: NamespaceView, account_id: str, subscriptions: Sequence[JsonObject]
) -> list[JsonObject]:
    """Each metric that is billed, in its running period by day, as GET /v1/usage answers."""
    periods: dict[str, tuple[str, str]] = {}
    for subscription in subscriptions:
        for charge in subscription["charges"]:
            if charge["metric"]:
                periods.setdefault(charge["metric"], (subscription["period_start"], subscription["period_end"]))
    questions = [
        read_question(rating, view, UsageParameters(metric, (account_id,), start, end, group_by=("day",)))
        for metric, (start, end) in list(periods.items())[:MOST_METRICS]
    ]
    return list(await asyncio.gather(*(answer_usage(rating, question, None) for question in questions)))
