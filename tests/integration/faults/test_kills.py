"""``kill -9`` of the worker, the gateway and ClickHouse while events flow changes no total."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from deploy.local.stack import Stack
from ingest.client import BatchResult, batched
from tests.integration.world import World

pytestmark = pytest.mark.integration

METER = {"code": "m", "event_name": "e", "profiles": [
    {"code": "sum", "aggregation": "sum", "property": ["v"]},
    {"code": "unique", "aggregation": "count_unique", "property": ["v"]},
    {"code": "latest", "aggregation": "latest", "property": ["v"]},
]}  # fmt: skip
DAY = {"start": "2026-05-04T00:00:00Z", "end": "2026-05-05T00:00:00Z"}
EVENTS = 20_000


def event(number: int) -> dict[str, Any]:
    return {
        "event_name": "e", "account_id": f"a{number % 7}", "idempotency_key": f"{number:06}",
        "timestamp": f"2026-05-04T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "properties": {"v": f"{number}.{number % 1000:03}"},
    }  # fmt: skip


def totals(world: World) -> dict[str, dict[str, str]]:
    return {
        profile: {row["account_id"]: row["quantity"] for row in world.usage(f"m.{profile}", **DAY)}
        for profile in ("sum", "unique", "latest")
    }


def expected() -> dict[str, dict[str, str]]:
    result: dict[str, dict[str, str]] = {"sum": {}, "unique": {}, "latest": {}}
    for account in range(7):
        mine = [event(number) for number in range(account, EVENTS, 7)]
        values = [Decimal(one["properties"]["v"]) for one in mine]
        newest = max(mine, key=lambda one: (one["timestamp"], one["idempotency_key"]))
        result["sum"][f"a{account}"] = format(sum(values, Decimal(0)).normalize(), "f")
        result["unique"][f"a{account}"] = str(len(set(values)))
        result["latest"][f"a{account}"] = format(Decimal(newest["properties"]["v"]).normalize(), "f")
    return result


@pytest.mark.parametrize("victims", [("gateway",), ("worker-0", "clickhouse", "gateway")])
def test_a_kill_in_the_middle_changes_no_total(stack: Stack, world: World, victims: tuple[str, ...]) -> None:
    if not set(victims) <= set(stack.state().processes):
        victims = ("worker-0", "gateway")  # ClickHouse is a container of its own here
    world.apply(meters=[METER])
    batches = list(batched(event(number) for number in range(EVENTS)))
    # Every twentieth batch is sent twice, as a producer would that has lost an answer.
    batches += batches[::20]
    sent = 0
    killed: list[int] = []
    kill_now = threading.Event()

    def killer() -> None:
        for victim in victims:
            kill_now.wait(60)
            kill_now.clear()
            killed.append(stack.kill(victim))

    def count(result: BatchResult) -> None:
        nonlocal sent
        sent += 1
        if sent in {(index + 1) * len(batches) // (len(victims) + 1) for index in range(len(victims))}:
            kill_now.set()

    thread = threading.Thread(target=killer)
    thread.start()
    with world.producer(deadline=120) as producer:
        summary = producer.send_batches(batches, concurrency=4, on_result=count)
    kill_now.set()
    thread.join(60)
    assert len(killed) == len(victims)
    for victim, pid in zip(victims, killed, strict=True):
        stack.wait_ready(victim, 60, not_pid=pid)
    assert (summary.refused, summary.accepted) == (0, EVENTS + EVENTS // 20)
    world.metered(timeout=120)
    assert totals(world) == expected()
    books = world.books()
    # A gateway that is killed before its answer leaves events in Kafka that the producer sends again.
    assert books["balanced"]
    assert books["metered"] == EVENTS
    assert books["duplicates"] >= EVENTS // 20
    assert (books["unmatched"], books["conflicts"], books["refused"]) == (0, 0, 0)
