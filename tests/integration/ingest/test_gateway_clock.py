"""A gateway whose clock is wrong, beside a real Kafka: it takes nothing and says so; what it dated before it knew is
named."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from ingest.app import create_app
from ingest.sources import Sources, system_sources
from rating.verify.difference import Findings
from rating.verify.misdated_events import check_misdated
from rating.verify.scope import open_scope
from schemas.kafka.clock import kafka_time_us
from schemas.values.instants import DAY, SECOND, micros, parse_rfc3339
from tests.integration.world import World

pytestmark = pytest.mark.integration


def event(key: str, **more: Any) -> dict[str, Any]:
    return {"event_name": "call", "account_id": "acme", "idempotency_key": key, "properties": {"s": 1}} | more


async def _days_behind(world: World) -> list[tuple[int, Any]]:
    """What a gateway answers whose clock falls 20 days behind while it runs, and is then set right."""
    real = system_sources()
    error = [0]
    app = create_app(world.settings, Sources(lambda: real.now_us() + error[0], real.new_key, real.new_id))
    answers: list[tuple[int, Any]] = []
    transport = httpx.ASGITransport(app=app)
    key = world.settings.admin_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}", "Weir-Namespace": world.namespace}
    async with (
        app.app.router.lifespan_context(app.app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers, timeout=30) as client,
    ):

        async def post(body: dict[str, Any]) -> None:
            answer = await client.post("/v1/events", json=body)
            answers.append((answer.status_code, answer.json()))

        async def ready(wanted: int) -> dict[str, Any]:
            deadline = time.monotonic() + 30
            while (answer := await client.get("/readyz")).status_code != wanted:
                assert time.monotonic() < deadline, answer.text
                await asyncio.sleep(0.05)
            return dict(answer.json())

        await ready(200)
        await post(event("right"))
        error[0] = -20 * DAY
        await post(event("wrongly-dated"))
        answers.append((503, await ready(503)))
        await post(event("refused"))
        error[0] = 0
        answers.append((200, await ready(200)))
        await post(event("right-again"))
    return answers


def test_a_clock_that_falls_behind_is_noticed_by_the_next_delivery_and_what_it_dated_is_named(world: World) -> None:
    world.apply(meters=[{"code": "calls", "event_name": "call", "profiles": [{"code": "n", "aggregation": "count"}]}])
    told_us = kafka_time_us(world.settings)
    assert told_us is not None
    assert abs(told_us - time.time_ns() // 1000) < 5 * SECOND
    answers = asyncio.run(_days_behind(world))
    assert [status for status, _ in answers] == [202, 202, 503, 503, 200, 202]
    (reason,) = answers[2][1]["reasons"]
    assert (reason["name"], reason["refuses"]) == ("clock_wrong", True)
    assert "20.0 days behind Kafka's" in reason["detail"]
    assert "20.0 days behind Kafka" in answers[3][1]["detail"]
    world.metered()
    scope = open_scope(world.settings, world.namespace)
    findings = Findings()
    try:
        check_misdated(scope, findings, lambda *_: None)
    finally:
        scope.client.close()
    (one,) = findings.differences()
    assert (one.what, "'wrongly-dated'" in one.where) == ("dated", True)
    assert "weir correct wrongly-dated" in one.remedy
    right = parse_rfc3339(one.expected.split()[1].rstrip(","))
    assert abs(micros(right) - told_us) < 60 * SECOND
