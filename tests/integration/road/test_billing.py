"""From usage to invoices: closing twice or at once gives the same invoices, and verification finds what is planted."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deploy.local.stack import settings_environment
from schemas.clickhouse.client import connect
from tests.integration.world import World
from tests.weir_command import run_weir

pytestmark = pytest.mark.integration

METER = {"code": "calls", "event_name": "call", "window": "hour", "profiles": [
    {"code": "number", "aggregation": "count"},
    {"code": "seconds", "aggregation": "sum", "property": ["s"]},
]}  # fmt: skip
CATALOG: dict[str, Any] = {
    "meters": [METER],
    "products": [
        {"code": "fee", "kind": "flat"},
        {"code": "number", "profile": "calls.number"},
        {"code": "seconds", "profile": "calls.seconds"},
    ],
    "plans": [
        {"code": "basic", "currency": "USD", "charges": [
            {"product": "fee", "price": {"model": "flat", "amount": "9.99"}},
            {"product": "number", "price": {"model": "package", "package_size": "10", "package_amount": "1"}},
            {"product": "seconds", "price": {"model": "tiered", "tiers": [
                {"up_to": "60", "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.015"}]}},
        ]},
    ],
    "accounts": [{"code": "acme", "time_zone": "America/New_York"}, {"code": "idle", "time_zone": "Asia/Kathmandu"}],
    "subscriptions": [
        {"code": "acme-s", "account": "acme", "plan": "basic", "start": "2026-03-01"},
        {"code": "idle-s", "account": "idle", "plan": "basic", "start": "2026-03-01"},
    ],
}  # fmt: skip
AS_OF = "2026-05-01T06:00:00+00:00"


def calls() -> list[dict[str, Any]]:
    """In March of New York 40 calls of 2.5 s, the first and the last at its edges; one beyond each edge."""
    stamps = ["2026-03-01T04:59:59.999999Z", "2026-03-01T05:00:00Z"]
    stamps += [f"2026-03-08T{hour:02}:30:00Z" for hour in range(24)]  # clocks go forward on this day
    stamps += [f"2026-03-20T{hour:02}:30:00Z" for hour in range(14)]
    stamps += ["2026-04-01T03:59:59.999999Z", "2026-04-01T04:00:00Z"]
    return [
        {
            "event_name": "call",
            "account_id": "acme",
            "idempotency_key": f"{number}",
            "timestamp": at,
            "properties": {"s": "2.5"},
        }
        for number, at in enumerate(stamps)
    ]


@pytest.fixture
def billed(world: World) -> World:
    world.apply(**CATALOG)
    world.send(calls())
    assert len(world.close(AS_OF).invoices) == 4
    return world


def test_lines_are_exact_across_daylight_saving_and_periods_follow_the_accounts_zone(billed: World) -> None:
    found = {(one["account_id"], one["period_start"]): one for one in billed.invoices()}
    march = found["acme", "2026-03-01T05:00:00Z"]
    assert march["period_end"] == "2026-04-01T04:00:00Z"
    assert [(line["charge"], line["quantity"], line["amount"]) for line in march["lines"]] == [
        ("fee", None, "9.99"), ("number", "40", "4.00"), ("seconds", "100", "0.60"),
    ]  # fmt: skip
    assert march["total"] == "14.59"
    april = found["acme", "2026-04-01T04:00:00Z"]
    assert [line["quantity"] for line in april["lines"]] == [None, "1", "2.5"]
    assert (april["total"], april["predecessor"]) == ("10.99", march["invoice_id"])
    idle = found["idle", "2026-02-28T18:15:00Z"]
    assert (idle["period_end"], idle["total"]) == ("2026-03-31T18:15:00Z", "9.99")
    for invoice in found.values():
        for line in invoice["lines"]:
            assert line["steps"]


def test_closing_again_and_at_once_publishes_nothing_twice(billed: World) -> None:
    before = billed.invoices()
    assert billed.close(AS_OF).invoices == ()
    assert billed.invoices() == before
    with ThreadPoolExecutor(2) as pool:
        later = "2026-06-01T06:00:00+00:00"
        results = list(pool.map(lambda _: billed.close(later), range(2)))
    assert sum(len(result.invoices) for result in results) == 2
    after = billed.invoices()
    assert len(after) == 6
    assert [one for one in after if one in before] == before


def test_verification_finds_nothing_and_writes_nothing(billed: World) -> None:
    before = billed.invoices()
    assert billed.differences() == []
    assert billed.invoices() == before


@pytest.mark.parametrize("table", ["usage_records", "usage_windows", "invoice_lines", "usage_events"])
def test_verification_finds_a_planted_difference(billed: World, table: str) -> None:
    conditions = {
        "usage_records": "profile_id = 'calls.seconds' AND account_id = 'acme' ORDER BY timestamp LIMIT 1",
        "usage_windows": "profile_id = 'calls.seconds' AND account_id = 'acme' ORDER BY window_start LIMIT 1",
        "invoice_lines": "charge = 'seconds' AND amount > 0 LIMIT 1",
        "usage_events": "account_id = 'acme' ORDER BY timestamp LIMIT 1",
    }
    changes = {
        "usage_records": "quantity + 1 AS quantity",
        "usage_windows": "sum + 1 AS sum",
        "invoice_lines": "amount + 1 AS amount",
        "usage_events": """'{"s": "99"}' AS properties""",
    }
    client = connect(billed.settings)
    try:
        # A row with the same sorting key and other content replaces the true one, as a stray hand would.
        client.command(
            f"INSERT INTO {table} SELECT * REPLACE ({changes[table]}) FROM {table} FINAL"
            f" WHERE namespace = '{billed.namespace}' AND {conditions[table]}"
        )
    finally:
        client.close()
    assert billed.differences() != []


def test_the_command_line_tells_the_same(billed: World) -> None:
    variables = settings_environment(billed.settings)

    def weir(*arguments: str, code: int = 0) -> str:
        done = run_weir(*arguments, variables=variables)
        assert done.returncode == code, done.stderr
        return done.stdout

    listed = json.loads(weir("invoices", "--json"))
    assert listed == billed.invoices()
    march = next(one for one in listed if one["total"] == "14.59")
    assert json.loads(weir("invoice", march["invoice_id"], "--json")) == march
    assert "14.59 USD" in weir("invoice", march["invoice_id"])
    assert json.loads(weir("ledger", "--json"))["metered"] == len(calls())
    assert weir("usage", "calls.seconds", "-a", "acme", "-p", "2026-03", "--csv") == (
        "account,quantity,unit,events\nacme,100,,40\n"
    )
    assert json.loads(weir("verify", "--json")) == []
    assert "nothing is due" in weir("close", "--as-of", AS_OF)
    assert json.loads(weir("close", "--as-of", "2026-06-01T06:00:00Z", "--dry-run", "--json"))["checkpoint"] == 0
    assert len(billed.invoices()) == 4
