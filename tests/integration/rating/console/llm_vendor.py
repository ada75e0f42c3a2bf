"""A small vendor of a language model: a billed month, and usage of now, for the console's pages to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.integration.world import World

ACCOUNTS: Final = (
    ("atlas", "Atlas Analytics", "America/New_York"),
    ("birke", "Birke GmbH", "Europe/Berlin"),
    ("chautari", "Chautari", "Asia/Kathmandu"),
)
"""(code, name, time zone)"""
MODELS: Final = ("small", "large")


def open_vendor(world: World) -> None:
    """September 2026 of three customers in three time zones is billed: tokens at a price by model, a fee, a
    commitment, prepaid credit, and an upgrade in mid-month. Of now there are counted events, refused ones, and a fired
    alert."""
    world.apply(**_catalog())
    september = datetime(2026, 9, 1, 12, tzinfo=UTC)
    calls = [
        _call(f"{code}-{day}", code, september + timedelta(days=day), MODELS[day % 2], 1_000 * (day + 1))
        for code, _, _ in ACCOUNTS
        for day in range(0, 28, 3)
    ]
    now = datetime.now(UTC)
    calls += [
        _call(f"{code}-now-{model}", code, now - timedelta(seconds=1), model, 40_000)
        for code, _, _ in ACCOUNTS[:2]
        for model in MODELS
    ]
    world.send(calls)
    refused = _call("refused", "atlas", now, "small", 1) | {"timestamp": "yesterday"}
    assert world.post([refused]).status_code == 422
    world.metered()
    world.close("2026-10-02T00:00:00+00:00")


def _call(key: str, account: str, moment: datetime, model: str, tokens: int) -> dict[str, Any]:
    usage = {"input": tokens, "output": tokens // 4}
    properties = {"model": model, "usage": usage, "region": "eu" if tokens % 2 else "us"}
    return {
        "event_name": "completion",
        "account_id": account,
        "idempotency_key": key,
        "timestamp": moment.isoformat(),
        "properties": properties,
    }


def _catalog() -> dict[str, Any]:
    profiles = [
        {"code": code, "name": f"{code.capitalize()} tokens", "aggregation": "sum", "property": ["usage", code],
         "dimensions": ["model"]}
        for code in ("input", "output")
    ]  # fmt: skip
    cells = [{"values": ["small"], "unit_amount": "0.0000005"}, {"values": ["large"], "unit_amount": "0.00001"}]
    by_model = {"model": "matrix", "dimensions": ["model"], "cells": cells, "default_unit_amount": "0.00002"}
    tokens = [{"product": code, "price": by_model} for code in ("input", "output")]
    fee = {"product": "seat", "price": {"model": "flat", "amount": "20"}, "in_advance": True}
    upgrade = "2026-09-16T00:00:00"
    return {
        "meters": [{"code": "tokens", "name": "Tokens", "unit": "token", "event_name": "completion",
                    "profiles": profiles}],
        "products": [
            *({"code": code, "name": f"{code.capitalize()} tokens", "profile": f"tokens.{code}"}
              for code in ("input", "output")),
            {"code": "seat", "name": "Seat", "kind": "flat"},
        ],
        "features": [{"code": "tokens", "name": "Tokens a month", "profile": "tokens.input",
                      "limits": [{"quantity": "100000", "reset": "month"}]}],
        "plans": [
            {"code": "starter", "name": "Starter", "currency": "USD", "charges": [*tokens, fee],
             "features": [{"feature": "tokens"}]},
            {"code": "scale", "name": "Scale", "currency": "USD", "charges": tokens, "minimum_commitment": "50",
             "discounts": [{"code": "launch", "percent": "10"}]},
        ],
        "accounts": [{"code": code, "name": name, "time_zone": zone} for code, name, zone in ACCOUNTS],
        "subscriptions": [
            {"code": "atlas-starter", "account": "atlas", "plan": "starter", "start": "2026-09-01"},
            {"code": "birke-scale", "account": "birke", "plan": "scale", "start": "2026-09-01"},
            {"code": "chautari-starter", "account": "chautari", "plan": "starter", "start": "2026-09-01",
             "end": f"{upgrade}+05:45"},
            {"code": "chautari-scale", "account": "chautari", "plan": "scale", "start": f"{upgrade}+05:45"},
        ],
        "credit_grants": [{"code": "birke-prepaid", "account": "birke", "amount": "30", "currency": "USD",
                           "effective": "2026-09-01"}],
        "alert_rules": [{"code": "quota", "measure": "entitlement", "feature": "tokens", "plan": "starter",
                         "thresholds": ["80%"]}],
    }  # fmt: skip
