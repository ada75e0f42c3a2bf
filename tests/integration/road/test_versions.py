"""A meter that is changed: old events keep their meaning, new ones have the new one, and the invoice names both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.world import World

pytestmark = pytest.mark.integration


def meter(measured: str) -> dict[str, Any]:
    profile = {"code": "sum", "aggregation": "sum", "property": measured}
    return {"code": "calls", "event_name": "call", "profiles": [profile]}


def call(key: str, old: str, new: str, at: datetime | None = None) -> dict[str, Any]:
    event = {"event_name": "call", "account_id": "a", "idempotency_key": key, "properties": {"old": old, "new": new}}
    return event if at is None else event | {"timestamp": at.isoformat()}


def test_a_changed_meter_counts_from_now_on_in_event_time_and_the_invoice_names_both_versions(world: World) -> None:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=10)
    price = {"model": "per_unit", "unit_amount": "1"}
    world.apply(
        meters=[meter("old")], products=[{"code": "call", "profile": "calls"}], accounts=[{"code": "a"}],
        plans=[{"code": "p", "currency": "USD", "grace_seconds": 0, "charges": [{"product": "call", "price": price}]}],
    )  # fmt: skip
    days_ago = start + timedelta(days=5)
    world.send([call("before", "5", "1000", days_ago)])
    answer = world.apply(meters=[meter("new")])
    assert answer["changed"] == [{"kind": "meter", "code": "calls", "version": 2}]
    # Both arrive after the change; it is the instant in the event that says which version counts it.
    world.send([call("late", "2.5", "1000", days_ago), call("new", "1000", "7")])
    world.metered()
    found = world.rows(
        "SELECT idempotency_key, profile_version FROM (SELECT * FROM usage_events FINAL WHERE namespace = {n:String})"
        " AS events INNER JOIN (SELECT * FROM usage_records FINAL WHERE namespace = {n:String}) AS records"
        " USING (generation, partition, offset, `index`)"
    )
    assert sorted(found) == [("before", 1), ("late", 1), ("new", 2)]
    # The account leaves right after its last event, so that its only period is over.
    end = datetime.now(UTC) + timedelta(milliseconds=50)
    subscription = {"code": "s", "account": "a", "plan": "p", "start": start.isoformat(), "end": end.isoformat()}
    world.apply(subscriptions=[subscription | {"billing_anchor": str(start.date())}])
    world.wait(lambda: datetime.now(UTC) > end)
    world.close(datetime.now(UTC).isoformat())
    (invoice,) = world.invoices()
    (line,) = invoice["lines"]
    assert Decimal(line["quantity"]) == Decimal("14.5")
    assert line["profile_versions"] == [1, 2]
