"""A worker whose consumer stops silently, its heartbeats going on, ends itself, and what it left is metered by
another. While no worker goes on, whatever the reason, the rating service tells which stages stand still."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from deploy.local.ports import free_port
from deploy.local.stack import Stack, settings_environment
from rating.api.context import Rating
from rating.pipeline.progress import LogEnds
from schemas.kafka.topics import inbox_topic
from schemas.settings import Settings
from stream_processors.threads import EXIT_HARD
from tests.integration.world import World

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def second(settings: Settings, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Another worker of the run's group, which SIGUSR1 makes silent, and the URL of its readiness."""
    port = free_port()
    # Its heartbeats outlast a busy machine: a member that Kafka gives up has no partitions, and nothing to be silent
    # about.
    own = {
        "WEIR_WORKER_INDEX": "9", "WEIR_WORKER_WEB_PORT": str(port), "WEIR_WORKER_SESSION_TIMEOUT": "8",
        "WEIR_CHAOS_STALL_SECONDS": "1", "WEIR_DATA_DIR": str(tmp_path),
    }  # fmt: skip
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.faulty.stuck_worker"],
            cwd=ROOT, env=os.environ | settings_environment(settings) | own, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process, f"http://127.0.0.1:{port}/readyz"
    finally:
        process.kill()
        process.wait(10)


def test_a_silent_consumer_is_noticed_and_ended_and_nothing_is_lost(
    second: tuple[subprocess.Popen[bytes], str], world: World, wait_until: Callable[..., Any], tmp_path: Path
) -> None:
    process, ready = second

    def owns() -> bool:
        assert process.poll() is None, (tmp_path / "worker.log").read_text()
        with httpx.stream("GET", ready, timeout=5) as answer:  # a worker's page, which no service's document describes
            return b"usage.events.1/" in answer.read()

    wait_until(owns)
    world.apply(meters=[{"code": "m", "event_name": "e", "profiles": [{"code": "count", "aggregation": "count"}]}])
    process.send_signal(signal.SIGUSR1)
    day = {"start": "2026-05-04T00:00:00Z", "end": "2026-05-05T00:00:00Z"}
    world.send(
        [
            {
                "event_name": "e",
                "account_id": "a",
                "idempotency_key": str(number),
                "timestamp": "2026-05-04T12:00:00Z",
                "properties": {},
            }
            for number in range(200)
        ]
    )
    assert process.wait(60) == EXIT_HARD
    log = (tmp_path / "worker.log").read_text()
    assert "the consumer has stopped silently" in log
    assert "has stood still for" in log
    world.metered()
    assert world.usage("m", **day) == [{"account_id": "a", "quantity": "200", "events": 200}]
    assert world.books()["balanced"]


def test_stages_that_stand_still_are_told_from_outside_until_they_go_on(
    stack: Stack, settings: Settings, world: World, wait_until: Callable[..., Any]
) -> None:
    world.apply(meters=[{"code": "m", "event_name": "e", "profiles": [{"code": "count", "aggregation": "count"}]}])
    producer = Producer(settings.librdkafka() | {"transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(inbox_topic(settings.namespace), b"no event", partition=3)
    producer.commit_transaction(30)
    rating, ends, later = Rating(settings), LogEnds(settings), 0.0
    rating._catalog.start()
    rating._checkpoints_follower.start()
    watch = rating.pipeline
    watch._monotonic = lambda: time.monotonic() + later

    def waiting() -> dict[str, int]:
        watch.look(ends)
        return {stage.name: count for stage, count in watch.waiting.items() if count}

    worker = stack.state().processes["worker-0"].pid
    assert worker is not None
    try:
        wait_until(lambda: waiting() == {"admission": 1})  # the transaction's mark: its record is admitted, or rejected
        os.kill(worker, signal.SIGSTOP)
        try:
            world.send([{"event_name": "e", "account_id": "a", "idempotency_key": "1", "properties": {}}])
            wait_until(lambda: waiting().get("metering") == 1)
            assert watch.reasons() == ()
            later += 61
            assert "admission" not in waiting(), "a mark is no work"
            assert [stage.stage.name for stage in watch.standing] == ["metering"]
            [reason] = watch.reasons()
            assert "metering (usage.events to usage_events) has stood still for" in reason.detail
        finally:
            os.kill(worker, signal.SIGCONT)
        wait_until(lambda: "metering" not in waiting())
        assert watch.reasons() == ()
    finally:
        rating._catalog.stop()
        rating._checkpoints_follower.stop()
