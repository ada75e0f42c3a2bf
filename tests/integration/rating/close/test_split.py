"""Prices overridden in mid-month, of every model that goes on or shares, with late usage: on the real stack, and
recomputed by `weir verify`."""

from __future__ import annotations

from typing import Any

import pytest

from rating.verify.verification import verify
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

TIERS = [
    {"up_to": "10", "unit_amount": "1", "flat_amount": "2"},
    {"up_to": None, "unit_amount": "0.5", "flat_amount": "3"},
]
PRICES: dict[str, dict[str, Any]] = {
    "unit": {"model": "per_unit", "unit_amount": "1", "included_units": "10"},
    "tiered": {"model": "tiered", "tiers": TIERS},
    "volume": {"model": "volume", "tiers": TIERS, "maximum_amount": "9"},
    "package": {"model": "package", "package_size": "7", "package_amount": "4", "free_units": "5"},
    "matrix": {
        "model": "matrix", "dimensions": ["kind"], "included_units": "10", "included_order": "pro rata",
        "cells": [{"values": ["a"], "unit_amount": "1"}, {"values": ["b"], "unit_amount": "3"}],
    },
}  # fmt: skip


def use(key: str, day: int, number: int, kind: str = "a") -> Any:
    return ("use", "acme", key, f"2013-01-{day:02d}T12:00:00Z", {"n": number, "kind": kind})


def test_parts_of_a_month_share_go_on_and_are_recomputed(road: Road) -> None:
    charges = []
    for code, price in PRICES.items():
        profile = {"code": "p", "aggregation": "sum", "property": "n", "dimensions": ["kind"]}
        road.publish("meter", code=code, event_name="use", window="hour", profiles=[profile])
        road.publish("product", code=code, profile=f"{code}.p")
        charges.append({"product": code, "price": price})
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=charges)
    road.publish("account", code="acme")
    subscription = {
        "code": "s",
        "account": "acme",
        "plan": "basic",
        "plan_version": 1,
        "start": "2013-01-01T00:00:00Z",
        "end": "2013-02-02T00:00:00Z",
    }
    road.publish("subscription", **subscription)
    prices = {code: price | {"minimum_amount": "1"} for code, price in PRICES.items()}
    overrides = [{"charge": code, "price": price} for code, price in prices.items()]
    road.publish("subscription", **subscription, overrides=overrides, change_at="2013-01-11T00:00:00Z")
    road.send([use("1", 2, 8), use("2", 12, 3), use("3", 12, 3, "b")])

    def told(as_of: str) -> dict[str, list[str]]:
        result = road.close(as_of)
        assert result.problems == ()
        found: dict[str, list[str]] = {}
        for one in result.invoices:
            for line in one.lines:
                found.setdefault(line.charge, []).append(f"{line.kind} {line.amount}")
        return found

    assert told("2013-02-01T00:00:00+00:00") == {
        "unit": ["usage 0.00", "usage 4.00"],
        "tiered": ["usage 10.00", "usage 7.00"],  # 2 flat and 8; 2 to the tier's end, 3 flat and 4 at 0.5
        "volume": ["usage 7.00", "usage 2.00"],  # 14 in all are in the second tier: its 3 once, and all of it up to 9
        "package": ["usage 4.00", "usage 4.00"],  # 3 beyond the free ones start a package that has 4 left
        "matrix": ["usage 0.00", "usage 8.00"],  # 2 are left for 3 and 3, so 1 each: 2 × 1 + 2 × 3
    }
    road.send([use("late", 3, 5)])
    assert told("2013-02-02T00:00:00+00:00") == {
        "unit": ["usage 0.04", "adjustment 3.00", "adjustment 2.00"],  # a day of the minimum
        "tiered": ["usage 2.00", "adjustment 6.50", "adjustment -4.00"],  # the second tier is reached in the first part
        "volume": ["usage 2.00", "adjustment 2.00", "adjustment -2.00"],
        "package": [
            "usage 0.04",
            "adjustment 4.00",
            "adjustment -3.32",
        ],  # the second started package has room for all; 21 days of the minimum
        "matrix": ["usage 0.04", "adjustment 3.00", "adjustment 4.00"],
    }
    for invoices in (None, True):
        assert verify(road.settings, namespace=road.namespace, invoices=invoices) == []
    assert told("2013-02-03T00:00:00+00:00") == {}


def test_an_upgrade_of_a_year_is_settled_at_the_change_and_recomputed(road: Road) -> None:
    road.publish("product", code="seat", kind="flat")
    for code, amount in (("basic", "365"), ("pro", "730")):
        seat = {"product": "seat", "in_advance": True, "price": {"model": "flat", "amount": amount}}
        half = {"code": "half", "percent": "50"}
        road.publish(
            "plan", code=code, currency="USD", interval="year", grace_seconds=0, charges=[seat], discounts=[half]
        )
    road.publish("account", code="acme")
    subscription = {"code": "s", "account": "acme", "plan_version": 1, "start": "2013-01-01T00:00:00Z"}
    road.publish("subscription", **subscription, plan="basic")
    assert [one.total for one in road.close("2013-01-01T00:00:00+00:00").invoices] == ["182.50"]
    road.publish("subscription", **subscription, plan="pro", change_at="2013-05-01T00:00:00Z")
    result = road.close("2013-05-02T00:00:00+00:00")
    assert [(one.plan, one.total) for one in result.invoices] == [
        ("pro", "122.50")
    ]  # half of 245 days at 2 less 245 at 1
    assert road.close("2013-05-03T00:00:00+00:00").invoices == ()
    road.publish("subscription", **subscription, plan="basic", change_at="2013-12-02T00:00:00Z")
    assert [one.total for one in road.close("2013-12-02T00:00:00+00:00").invoices] == ["-15.00"]
    assert [one.total for one in road.close("2014-01-01T00:00:00+00:00").invoices] == ["182.50"]
    for invoices in (None, True):
        assert verify(road.settings, namespace=road.namespace, invoices=invoices) == []
