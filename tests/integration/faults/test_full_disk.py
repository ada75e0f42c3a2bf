"""A disk that takes no more under ClickHouse, while events flow: what is acknowledged is metered once there is room, by
itself."""

from __future__ import annotations

import contextlib
import resource
from typing import Any

import pytest

from deploy.local.stack import Stack
from ingest.client import batched
from tests.integration.world import World

pytestmark = pytest.mark.integration

METER = {"code": "m", "event_name": "e", "profiles": [{"code": "sum", "aggregation": "sum", "property": ["v"]}]}
EVENTS = 12_000


def event(number: int) -> dict[str, Any]:
    return {
        "event_name": "e", "account_id": "a", "idempotency_key": f"{number:06}", "timestamp": "2026-05-04T01:00:00Z",
        "properties": {"v": "1", "filling": f"{number * 2654435761 % 2**32:x}" * 20},
    }  # fmt: skip


def test_events_acknowledged_while_the_disk_takes_no_more_are_all_metered(stack: Stack, world: World) -> None:
    if "clickhouse" not in stack.state().processes:
        pytest.fail("this needs the local stack's own ClickHouse; run it without containers")
    world.apply(meters=[METER])
    pid = stack.pid("clickhouse")
    # A limit on the size of files stands for the full disk; where the engine meets it, it ends with the process.
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    with world.producer(deadline=120) as producer:
        summary = producer.send_batches(list(batched(event(number) for number in range(EVENTS))), concurrency=4)
    assert (summary.refused, summary.accepted) == (0, EVENTS)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    stack.wait_ready("clickhouse")
    world.metered(timeout=120)
    books = world.books()
    assert books["balanced"]
    assert (books["metered"], books["duplicates"], books["unmatched"]) == (EVENTS, 0, 0)
    (row,) = world.usage("m.sum", start="2026-05-04T00:00:00Z", end="2026-05-05T00:00:00Z")
    assert row["quantity"] == str(EVENTS)
    assert world.differences() == []
