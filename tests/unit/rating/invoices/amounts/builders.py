"""Plans with fees in advance, and their closes, without usage."""

from __future__ import annotations

from typing import Any

from schemas.values.instants import rfc3339
from tests.unit.rating.builders import Shelf, us

DAY = 86_400 * 10**6


START = us("2025-01-01T00:00:00Z")


PLANS = {"basic": {"seat": "30", "support": "10"}, "pro": {"seat": "60", "vip": "5.99"}}


AHEAD = ("seat", "vip")


BASE = {"code": "s", "account": "acme", "plan": "basic", "start": rfc3339(START)}


def catalog(plans: dict[str, dict[str, str]], **subscription: Any) -> Shelf:
    shelf = Shelf()
    for product in ("seat", "support", "vip"):
        shelf.add("product", {"code": product, "kind": "flat"})
    for code, fees in plans.items():
        charges = [
            {"product": name, "price": {"model": "flat", "amount": amount}, "in_advance": name in AHEAD}
            for name, amount in fees.items()
        ]
        shelf.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE | subscription)
    return shelf
