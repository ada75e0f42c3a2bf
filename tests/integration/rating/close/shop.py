"""A namespace with one price of each kind, calls around the ends of months, and its bills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rating.invoices.lists import list_invoices
from rating.invoices.read import read_invoice
from schemas.values.instants import rfc3339
from tests.integration.rating.road import Road

ZONE = "America/New_York"


def open_shop(road: Road) -> Road:
    """Two accounts in New York and one in UTC on a monthly plan with one price of each kind, from January 2013."""
    road.publish(
        "meter", code="calls", event_name="call", window="hour",
        profiles=[
            {"code": "number", "aggregation": "count"},
            {"code": "seconds", "aggregation": "sum", "property": "s", "dimensions": ["way"]},
            {"code": "longest", "aggregation": "max", "property": "s"},
            {"code": "callers", "aggregation": "count_unique", "property": "who"},
        ],
    )  # fmt: skip
    for code, profile in {"calls": "number", "time": "seconds", "long": "longest", "people": "callers"}.items():
        road.publish("product", code=code, profile=f"calls.{profile}")
    road.publish("product", code="fee", kind="flat")
    tiers = [{"up_to": "2", "unit_amount": "1.005"}, {"up_to": None, "unit_amount": "0.5", "flat_amount": "3"}]
    cells = [{"values": ["in"], "unit_amount": "0.01"}]
    charges = [
        {"product": "fee", "price": {"model": "flat", "amount": "10"}},
        {"product": "calls", "price": {"model": "tiered", "tiers": tiers}},
        {
            "product": "time",
            "price": {"model": "matrix", "dimensions": ["way"], "cells": cells, "default_unit_amount": "0.02"},
        },
        {"product": "long", "price": {"model": "per_unit", "unit_amount": "0.1"}},
        {"product": "people", "price": {"model": "package", "package_size": "2", "package_amount": "7"}},
    ]
    road.publish("plan", code="basic", currency="USD", interval="month", grace_seconds=0, charges=charges)
    for account, zone in {"acme": ZONE, "beta": ZONE, "utc": "UTC"}.items():
        road.publish("account", code=account, time_zone=zone)
        road.publish(
            "subscription", code=f"{account}-basic", account=account, plan="basic", plan_version=1,
            start="2013-03-01T05:00:00Z", end="2013-06-01T04:00:00Z",
        )  # fmt: skip
    road.send(
        [
            call("acme", 1, "2013-03-01T04:59:59Z", 1000),  # before the subscription
            call("acme", 2, "2013-03-01T05:00:00Z", "0.5"),
            call("acme", 3, "2013-03-10T06:59:59Z", 60),
            call("acme", 4, "2013-04-01T03:59:59.999999Z", 30, way="out"),  # still March in New York
            call("acme", 4, "2013-04-01T03:59:59.999999Z", 30, way="out"),  # sent twice
            call("acme", 5, "2013-04-01T04:00:00Z", 7, who="ann"),  # April
            call("utc", 6, "2013-04-01T03:59:59.999999Z", 5),  # April in UTC
        ]
    )
    return road


def call(account: str, key: int, at: str, seconds: Any, who: str = "bob", way: str = "in") -> Any:
    return ("call", account, str(key), at, {"s": seconds, "who": who, "way": way})


def bills(road: Road) -> dict[tuple[str, str], dict[str, tuple[str | None, str]]]:
    """(account, period start) → charge → (quantity, amount), as everybody reads them."""
    found = {}
    for head in list_invoices(road.client, road.namespace, limit=500).invoices:
        whole = read_invoice(road.client, road.namespace, head.invoice_id)
        assert whole is not None
        assert Decimal(head.total) == sum((Decimal(line.amount) for line in whole.lines), Decimal(0))
        found[head.account_id, rfc3339(head.period_start_us)] = {
            line.charge: (None if line.quantity is None else format(line.quantity.normalize(), "f"), line.amount)
            for line in whole.lines
        }
    return found


MARCH = {
    "fee": (None, "10.00"),
    "calls": ("3", "5.51"),  # 2 × 1.005 + 3 + 0.5
    "time": ("90.5", "1.21"),  # 60.5 × 0.01 + 30 × 0.02 = 1.205
    "long": ("60", "6.00"),
    "people": ("1", "7.00"),
}


NOTHING = {"fee": (None, "10.00")} | dict.fromkeys(("calls", "time", "long", "people"), ("0", "0.00"))


APRIL = {"calls": ("1", "1.01"), "time": ("7", "0.07"), "long": ("7", "0.70"), "people": ("1", "7.00")}
