"""The producer library against a gateway that is killed in the middle: every event arrives, none twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deploy.cli.connection import base_url
from deploy.local.stack import Stack
from ingest.client import AsyncProducer, Client, Producer, Refusal, send_history
from tests.integration.world import World, books_of

pytestmark = pytest.mark.integration

METER = {"code": "m", "event_name": "e", "profiles": [{"code": "s", "aggregation": "sum", "property": ["v"]}]}
DAY = {"start": "2026-05-04T00:00:00Z", "end": "2026-05-05T00:00:00Z"}
EACH = 2000
STEP = 600  # events of the blocking producer between two kills


def event(who: str, number: int) -> dict[str, Any]:
    # No key: the library makes it, once, and every attempt carries it.
    return {"event_name": "e", "account_id": who, "timestamp": "2026-05-04T12:00:00Z", "properties": {"v": number}}


def line(number: int) -> bytes:
    return json.dumps(event("history", number) | {"idempotency_key": f"h{number}"}).encode() + b"\n"


def produce(url: str, key: str, namespace: str, step: Callable[[], object]) -> tuple[list[str], BaseException | None]:
    decided: list[str] = []
    own: dict[str, Any] = {"max_queue": 200, "interval": 0.01, "on_delivery": lambda done, _error: decided.append(done)}
    with Producer(url, key, namespace, **own) as producer:
        futures = []
        for number in range(EACH):
            futures.append(producer.produce(event("sync", number)))
            if number % STEP == 0:
                step()
        poison = producer.produce(event("", 0))
        keys = [future.result(60) for future in futures]
        refusal = poison.exception(60)
    assert sorted([*keys, *(set(decided) - set(keys))]) == sorted(decided)
    return keys, refusal


async def produce_async(url: str, key: str, namespace: str) -> list[str]:
    async with AsyncProducer(url, key, namespace, max_queue=200, interval=0.01) as producer:
        futures = [await producer.produce(event("async", number)) for number in range(EACH)]
        await producer.flush()
        return [await future for future in futures]


def test_no_event_is_lost_or_doubled_when_the_gateway_is_killed(stack: Stack, world: World) -> None:
    world.apply(meters=[METER])
    told = (base_url(world.settings, "gateway"), world.settings.admin_key.get_secret_value(), world.namespace)
    with Client(*told) as client, ThreadPoolExecutor(2) as pool:
        kills = iter([True, True])
        step = lambda: next(kills, False) and stack.kill("gateway")  # noqa: E731
        later = pool.submit(asyncio.run, produce_async(*told))
        history = pool.submit(send_history, client, map(line, range(EACH)), part=EACH // 4)
        keys, refusal = produce(*told, step)
        summary = history.result(60)
        assert len(set(keys)) == len(set(later.result(60))) == EACH
    assert isinstance(refusal, Refusal)
    assert refusal.problem["path"].endswith("].account_id")
    assert (summary.lines, summary.accepted, summary.refused) == (EACH, EACH, 0)
    # A process that ends without closing its producer has sent what waited.
    exiting = (
        "import sys; from ingest.client import Producer; Producer(*sys.argv[1:], "
        f"interval=3600).produce({event('exit', 1)!r})"
    )
    subprocess.run([sys.executable, "-c", exiting, *told], check=True, timeout=60)

    world.metered()
    rows = {row["account_id"]: (row["quantity"], row["events"]) for row in world.usage("m", **DAY)}
    total = (str(EACH * (EACH - 1) // 2), EACH)
    assert rows == {"sync": total, "async": total, "history": total, "exit": ("1", 1)}
    books = world.books()
    copies = books["accepted"] - 3 * EACH - 1
    books_of(books, refused=books["refused"], accepted=books["accepted"], metered=3 * EACH + 1, duplicates=copies)
