"""All six aggregations with nested filters over decimals, against a plain fold; namespaces that never see each
other."""

from __future__ import annotations

import random
import threading
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.catalog.backfill_jobs import jobs
from schemas.catalog.follower import CatalogFollower
from stream_processors.backfill.steps import Backfiller
from tests.integration.world import World, declare

pytestmark = pytest.mark.integration

PROPERTY = ["use", "amount"]
FILTERS = [{"property": ["where", "country"], "operator": "in", "value": ["US", "CA"]}]
PROFILES = [
    {"code": "count", "aggregation": "count"},
    *({"code": name, "aggregation": name, "property": PROPERTY} for name in ("sum", "max", "min", "latest")),
    {"code": "unique", "aggregation": "count_unique", "property": ["who", "id"]},
    {"code": "big", "aggregation": "sum", "property": PROPERTY, "filters": [
        {"property": PROPERTY, "operator": "gte", "value": "0.3"},
        {"property": ["tags"], "operator": "contains", "value": "paid"},
        {"property": ["where", "city"], "operator": "exists", "value": False},
    ]},
]  # fmt: skip
METER = {"code": "use", "event_name": "used", "filters": FILTERS, "profiles": PROFILES}
START = datetime(2026, 3, 1, tzinfo=UTC)
SPAN = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-11T00:00:00Z"}


def made(count: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    events = []
    for number in range(count):
        amount = Decimal(chance.randrange(-(10**6), 10**9)).scaleb(-chance.randrange(0, 13))
        where: dict[str, Any] = {"country": chance.choice(["US", "CA", "MX"])}
        if chance.random() < 0.5:
            where["city"] = "x"
        properties: dict[str, Any] = {
            "use": {"amount": format(amount, "f")}, "where": where, "who": {"id": chance.choice([1, "1", "2", 3])},
            "tags": chance.sample(["paid", "new", "old"], 2),
        }  # fmt: skip
        # Few instants, so that latest needs its tie-break; some lie outside of the span.
        at = START + timedelta(hours=chance.randrange(-5, 245))
        events.append(
            {"event_name": "used", "account_id": f"a{number % 3}", "idempotency_key": f"{chance.random()}",
             "timestamp": at.isoformat(), "properties": properties}
        )  # fmt: skip
    return events


def folded(events: list[dict[str, Any]]) -> dict[str, dict[str, Decimal | int]]:
    """Profile → account → quantity, computed the plain way."""
    result: dict[str, dict[str, Any]] = defaultdict(dict)
    for account in ("a0", "a1", "a2"):
        mine = []
        for event in events:
            at = datetime.fromisoformat(event["timestamp"])
            inside = START <= at < START + timedelta(days=10)
            if event["account_id"] == account and inside and event["properties"]["where"]["country"] in ("US", "CA"):
                mine.append(
                    (at, event["idempotency_key"], Decimal(event["properties"]["use"]["amount"]), event["properties"])
                )
        amounts = [amount for _, _, amount, _ in mine]
        result["count"][account] = len(mine)
        result["sum"][account] = sum(amounts, Decimal(0))
        result["max"][account] = max(amounts)
        result["min"][account] = min(amounts)
        result["latest"][account] = max(mine, key=lambda one: one[:2])[2]
        result["unique"][account] = len({(type(p["who"]["id"]).__name__, p["who"]["id"]) for *_, p in mine})
        result["big"][account] = sum(
            (a for *_, a, p in mine if a >= Decimal("0.3") and "paid" in p["tags"] and "city" not in p["where"]),
            Decimal(0),
        )
    return result


def measured(world: World) -> dict[str, dict[str, Decimal]]:
    return {
        profile["code"]: {
            row["account_id"]: Decimal(row["quantity"]) for row in world.usage(f"use.{profile['code']}", **SPAN)
        }
        for profile in PROFILES
    }


def test_six_aggregations_with_nested_filters_are_exact_and_do_not_mind_the_order(world: World) -> None:
    world.apply(meters=[METER])
    events = made(900, seed=3)
    world.send(events)
    world.metered()
    assert measured(world) == folded(events)
    # The same and more, shuffled, with copies: live totals again, across what has been rolled up by now and what has
    # not.
    more = made(300, seed=4)
    again = events[::3] + more
    random.Random(5).shuffle(again)
    world.send(again)
    world.metered()
    assert measured(world) == folded(events + more)


def test_namespaces_never_see_each_other_even_with_the_same_keys(world: World) -> None:
    live, sandbox = f"l{uuid.uuid4().hex[:12]}", f"s{uuid.uuid4().hex[:12]}"
    worlds = []
    for code, is_sandbox, factor in ((live, False, 1), (sandbox, True, 10)):
        declare(world.settings, {"namespace": {"code": code, "sandbox": is_sandbox, "max_event_age_seconds": None}})
        one = World(world.settings, code, world.wait)
        one.apply(meters=[METER])
        events = made(50, seed=6)
        for event in events:
            event["properties"]["use"]["amount"] = str(Decimal(event["properties"]["use"]["amount"]) * factor)
        one.send(events)
        worlds.append((one, events))
    world.metered()
    for one, events in worlds:
        assert measured(one) == folded(events)
        assert one.books()["duplicates"] == one.books()["conflicts"] == 0
        assert one.books()["metered"] + one.books()["unmatched"] == 50
    with world.http("rating") as client:
        assert client.get("/v1/usage", params={"metric": "use.sum", "from": "2026"}).status_code == 404


TYPED: dict[str, Any] = {
    "code": "token",
    "schema": {
        "type": "record",
        "name": "Token",
        "fields": [
            {"name": "n", "type": "long", "default": 1},
            {"name": "cached", "type": "long", "default": 0},
            {"name": "model", "type": "string", "default": "base"},
            {"name": "note", "type": ["null", "string"], "default": None},
        ],
    },
}
TOKENS: dict[str, Any] = {
    "code": "token",
    "profiles": [
        {"code": "n", "aggregation": "sum", "property": "n", "dimensions": ["model", "note"]},
        {
            "code": "cached",
            "aggregation": "sum",
            "property": "cached",
            "filters": [{"property": "model", "operator": "eq", "value": "base"}],
        },
    ],
}


def backfilled(world: World, meter: str) -> None:
    """Do the backfill of a meter's first version."""
    follower = CatalogFollower(world.settings)
    follower.start()
    try:
        world.wait(lambda: jobs(follower.catalog.view(world.namespace)))
        Backfiller(world.settings, follower, threading.Event(), settle_seconds=0).run(f"{world.namespace}/{meter}/1")
    finally:
        follower.stop()


def test_what_an_event_leaves_out_has_its_event_types_default_everywhere(world: World) -> None:
    def token(key: str, **properties: Any) -> dict[str, Any]:
        return {
            "event_name": "token",
            "account_id": "acme",
            "idempotency_key": key,
            "timestamp": "2026-06-01T12:00:00Z",
            "properties": properties,
        }

    price = {
        "model": "matrix",
        "dimensions": ["model"],
        "cells": [{"values": ["base"], "unit_amount": "2"}, {"values": ["big"], "unit_amount": "5"}],
    }
    world.apply(
        event_types=[TYPED | {"fill_defaults": False}],
        meters=[TOKENS],
        products=[{"code": "tokens", "profile": "token.n"}, {"code": "cached", "profile": "token.cached"}],
        plans=[
            {
                "code": "daily",
                "currency": "USD",
                "interval": "day",
                "grace_seconds": 0,
                "charges": [
                    {"product": "tokens", "price": price},
                    {"product": "cached", "price": {"model": "per_unit", "unit_amount": "1"}},
                ],
            }
        ],
        accounts=[{"code": "acme"}],
        subscriptions=[
            {
                "code": "s",
                "account": "acme",
                "plan": "daily",
                "start": "2026-06-01T00:00:00Z",
                "end": "2026-06-02T00:00:00Z",
            }
        ],
    )
    world.send([token("before", n=3)])  # as it was metered before anything was filled in
    world.apply(event_types=[TYPED])
    world.send(
        [token("nothing"), token("big", model="big", cached=4), token("all", n=7, cached=2, model="base", note="x")]
    )
    world.metered()
    with world.http("rating") as client:
        found = client.post("/v1/profiles/try", json={"meter": TOKENS, "period": "2026-06-01..2026-06-02"})
        assert [one["quantity"] for one in found.json()["profiles"]] == ["12", "2"], found.text
    world.apply(meters=[TOKENS | {"code": "again", "event_name": "token", "start": "2026-01-01T00:00:00Z"}])
    span = {"start": "2026-06-01T00:00:00Z", "end": "2026-06-02T00:00:00Z"}
    expected = {"base": "8", "big": "1", None: "3"}

    def counted(meter: str) -> dict[str | None, str]:
        rows = world.usage(f"{meter}.n", group_by="model", **span)
        return {one["dimensions"]["model"]: one["quantity"] for one in rows}

    assert counted("token") == expected
    assert [one["quantity"] for one in world.usage("token.cached", **span)] == ["2"]
    backfilled(world, "again")
    world.wait(lambda: counted("again") == expected)
    assert [one["quantity"] for one in world.usage("again.cached", **span)] == ["2"]
    closed = world.close("2026-06-02T00:00:00+00:00")
    assert closed.problems == ()
    (invoice,) = closed.invoices
    assert [line.amount for line in invoice.lines] == ["21.00", "2.00"]
    assert world.differences() == []
