"""The analysts' views say what the API says."""

from __future__ import annotations

from decimal import Decimal

import pytest
from roadkit import World

pytestmark = pytest.mark.integration

METER = {
    "code": "gb",
    "event_name": "Stored",
    "profiles": [
        {"code": "sum", "aggregation": "sum", "property": "n"},
        {"code": "count", "aggregation": "count"},
        {"code": "max", "aggregation": "max", "property": "n"},
        {"code": "min", "aggregation": "min", "property": "n"},
        {"code": "latest", "aggregation": "latest", "property": "n"},
        {"code": "count_unique", "aggregation": "count_unique", "property": "disk"},
    ],
}


def test_views_return_the_totals_of_the_api(world: World) -> None:
    world.apply(meters=[METER])
    world.send(
        [
            {
                "event_name": "Stored",
                "account_id": f"acct_{number % 3}",
                "idempotency_key": f"v{number}",
                "timestamp": f"2026-03-{1 + number % 31:02d}T{number % 24:02d}:00:00Z",
                "properties": {"n": f"{number}.000000000001", "disk": number % 7},
            }
            for number in range(90)
        ]
    )
    world.metered()
    for profile in METER["profiles"]:
        code = profile["code"]
        view = world.rows(
            f"SELECT account_id, {code} FROM usage_total(namespace = '{world.namespace}', profile_id = 'gb.{code}',"
            " period_start = '2026-03-02 00:00:00', period_end = '2026-03-30 12:00:00') ORDER BY account_id"
        )
        rows = world.usage(f"gb.{code}", start="2026-03-02T00:00:00Z", end="2026-03-30T12:00:00Z")
        api = {row["account_id"]: Decimal(row["quantity"]) for row in rows}
        assert len(api) == 3
        assert {account: Decimal(value) for account, value in view} == api, code
    days = world.rows(
        "SELECT sum(count), sum(sum) FROM usage_daily WHERE namespace = {n:String} AND profile_id = 'gb.sum'"
    )
    assert days == [(90, sum(Decimal(f"{number}.000000000001") for number in range(90)))]
