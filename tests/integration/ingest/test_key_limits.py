"""Limits of a key at a real gateway: 429 with the time to wait, others unharmed, nothing recorded as refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.ingest.gateway_process import rejected
from tests.integration.world import World

pytestmark = pytest.mark.integration

EVENT = {"event_name": "e", "account_id": "a", "properties": {}}


def producer(world: World, **limits: int) -> httpx.Client:
    """With a new key that has these limits."""
    with world.http("gateway") as admin:
        made: dict[str, Any] = admin.post("/v1/api-keys", json={"scopes": ["ingest"], "limits": limits}).json()
    return world.http("gateway", headers={"authorization": f"Bearer {made['key']}"})


def test_a_key_that_sends_too_much_waits_and_loses_nothing(world: World) -> None:
    with producer(world, events_per_second=1) as few, producer(world) as neighbour:
        batch = {"events": [dict(EVENT, idempotency_key=f"k{number}") for number in range(100)]}
        assert few.post("/v1/events/batch", json=batch).status_code == 202, (
            "no batch is too large, but it is waited for"
        )
        refused = few.post("/v1/events/batch", json=batch)
        assert (refused.status_code, refused.json()["limit"]) == (429, "events")
        assert int(refused.headers["retry-after"]) >= 1
        assert neighbour.post("/v1/events/batch", json=batch).status_code == 202
    assert rejected(world.settings, world.namespace) == [], "who is told to wait is not refused"
