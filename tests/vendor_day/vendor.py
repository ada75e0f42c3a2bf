"""What the vendor sells: the catalog of one namespace, and its prices in plain numbers for the fold.

Nothing here imports Weir: the fold's prices, limits and thresholds are these constants, and the catalog document says
the same in Weir's words.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

ACCOUNTS: Final = {"acme": "America/New_York", "brick": "Asia/Kolkata", "cobalt": "UTC"}
FREE_TOKENS: Final = Decimal(100_000)
TOKEN_PRICE: Final = Decimal("0.0001")
LARGE_PRICE: Final = Decimal("0.0002")
MONTHLY_TOKENS: Final = Decimal(2_000_000)
MINUTE_TOKENS: Final = Decimal(60_000)
MONEY_LIMIT: Final = Decimal("90")
USAGE_BUDGET: Final = Decimal(1_000_000)
SPEND_BUDGET: Final = Decimal(100)
SHARES: Final = (50, 80, 100)
PREPAID: Final = {"acme": Decimal(90), "brick": Decimal(40), "cobalt": Decimal(0)}
THRESHOLDS: Final = {"acme": Decimal(70), "cobalt": Decimal(60)}
"""Accounts that are billed in mid-month once so much of their use is not."""
FLOOR, TARGET, DAILY_LIMIT = Decimal(20), Decimal(60), Decimal(400)
"""Of the top-ups of TOPPED_UP's prepaid balance."""
TOPPED_UP: Final = "brick"
RUN_SECONDS: Final = Decimal(3000)
"""Hard limit of the feature that fifty clients reserve of."""
LOW_BALANCE: Final = Decimal(20)
RUN: Final = "run"
"""The model of a call that is a run, of so many seconds."""
PROFILES: Final = {
    "all": "completion.all", "large": "completion.large", "calls": "completion.calls", "runs": "run.seconds",
}  # fmt: skip
LIMITED: Final = {"tokens": "all", "spend": "all", "runs": "runs"}
"""The profile of each feature."""
LIMITS: Final = {
    ("tokens", "month"): MONTHLY_TOKENS, ("tokens", "minute"): MINUTE_TOKENS,
    ("spend", "billing_period"): MONEY_LIMIT, ("runs", "month"): RUN_SECONDS,
}  # fmt: skip


def subscriptions(starts: dict[str, datetime], end: datetime | None = None) -> list[dict[str, Any]]:
    """A subscription of each account from its start (UTC) on, to an end where there is one."""
    ends = {} if end is None else {"end": end.isoformat()}
    documents = []
    for code, start in starts.items():
        threshold = {"invoice_threshold": str(amount)} if (amount := THRESHOLDS.get(code)) else {}
        documents.append(
            {"code": f"{code}-api", "account": code, "plan": "api", "start": start.isoformat(), **threshold, **ends}
        )
    return documents


def catalog(namespace: str, starts: dict[str, datetime]) -> dict[str, Any]:
    """The catalog document of a namespace; ``starts``: of each account's subscription (UTC)."""
    tokens = {"aggregation": "sum", "property": ["tokens"]}
    large = {"value": ["large"], "operator": "in", "property": ["model"]}
    tiers = [{"up_to": str(FREE_TOKENS), "unit_amount": "0"}, {"up_to": None, "unit_amount": str(TOKEN_PRICE)}]
    top_up = {
        "currency": "USD", "floor": str(FLOOR), "target": str(TARGET), "daily_limit": str(DAILY_LIMIT)
    }  # fmt: skip
    thresholds = [f"{share}%" for share in SHARES]
    return {
        "namespace": {"code": namespace, "max_event_age_seconds": None},
        "meters": [
            {
                "code": "completion",
                "event_name": "completion",
                "unit": "token",
                "profiles": [
                    {"code": "all", **tokens},
                    {"code": "large", **tokens, "filters": [large]},
                    {"code": "calls", "aggregation": "count"},
                ],
            },
            {
                "code": "run",
                "event_name": "run",
                "unit": "second",
                "profiles": [{"code": "seconds", "aggregation": "sum", "property": ["seconds"]}],
            },
        ],
        "features": [
            {"code": "runs", "profile": "run.seconds"},
            {"code": "tokens", "profile": "completion.all"},
            {"code": "spend", "profile": "completion.all"},
        ],
        "products": [
            {"code": "tokens", "name": "Tokens", "unit": "token", "profile": "completion.all"},
            {"code": "large", "name": "Tokens of the large model", "unit": "token", "profile": "completion.large"},
        ],
        "plans": [
            {
                "code": "api",
                "currency": "USD",
                "grace_seconds": 0,
                "charges": [
                    {"product": "tokens", "price": {"model": "tiered", "tiers": tiers}},
                    {"product": "large", "price": {"model": "per_unit", "unit_amount": str(LARGE_PRICE)}},
                ],
                "features": [
                    {
                        "feature": "tokens",
                        "limits": [
                            {"quantity": str(MONTHLY_TOKENS), "reset": "month"},
                            {"quantity": str(MINUTE_TOKENS), "reset": "minute"},
                        ],
                    },
                    {"feature": "runs", "limits": [{"quantity": str(RUN_SECONDS), "reset": "month"}]},
                    {"feature": "spend", "limits": [{"amount": str(MONEY_LIMIT), "reset": "billing_period"}]},
                ],
            }
        ],
        "accounts": [
            {"code": code, "time_zone": zone, "top_ups": [top_up] if code == TOPPED_UP else []}
            for code, zone in ACCOUNTS.items()
        ],
        "subscriptions": subscriptions(starts),
        "credit_grants": [
            {"code": f"{code}-prepaid", "account": code, "amount": str(amount), "currency": "USD"}
            for code, amount in PREPAID.items()
            if amount
        ],
        "alert_rules": [
            {
                "code": "usage", "measure": "usage", "profile": "completion.all", "plan": "api",
                "budget": str(USAGE_BUDGET), "thresholds": thresholds,
            },
            {
                "code": "spend", "measure": "spend", "plan": "api",
                "budget": str(SPEND_BUDGET), "thresholds": thresholds,
            },
            {"code": "low", "measure": "balance", "currency": "USD", "thresholds": [str(LOW_BALANCE)]},
        ],
    }  # fmt: skip
